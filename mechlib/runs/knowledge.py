"""What a model knows decides how a study divides its facts: the answers of the unedited model to splits."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mechlib.facts import Fact, FactSet, LeftOut, Splits, demonstration_subjects, split, split_by_answer
from mechlib.facts.fact import one_each, stratified_order, with_targets

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class SplitSettings:
    """How the known facts are divided: into ``sets`` of ``set_size`` facts, or one set for each of the ``answers``."""

    threshold: float
    forget: Literal["sets", "answers"]
    n_sets: int
    n_localize: int
    n_test: int
    n_validate: int
    seed: int
    set_size: int | None = None
    target: str | None = None


def divided(facts: FactSet, known: Rows, settings: SplitSettings) -> Splits:
    """The parts of the facts that the model knows; raises :class:`mechlib.facts.FactError` if these are too few."""
    sizes = {name: getattr(settings, name) for name in ("n_sets", "n_localize", "n_test", "n_validate", "seed")}
    among, exclude = known_facts(facts, known, settings.threshold), demonstration_subjects()
    if settings.set_size is None:
        return split_by_answer(among, target=settings.target, exclude=exclude, **sizes)
    return split(among, set_size=settings.set_size, exclude=exclude, **sizes)


def known_facts(facts: FactSet, known: Rows, threshold: float) -> FactSet:
    """Facts whose true answer got more than ``threshold``: of the options' probability, or of all tokens' in an open relation.

    Where rows say which facts were ``taught``, a good guess about another is no knowledge.
    """
    sure = {(row["relation"], row["subject"]) for row in known if certainty(row) > threshold and row.get("taught", True)}
    return FactSet("known", tuple(fact for fact in facts if (fact.relation, fact.subject) in sure))


def left_out(facts: FactSet, known: Rows) -> tuple[LeftOut, ...]:
    """What the table's source held and nobody asks: ``known`` are the answers to all facts that were asked."""
    asked, shown = {(row["relation"], row["subject"]) for row in known}, demonstration_subjects()
    never = [LeftOut(fact.subject, "serves as a demonstration") for fact in facts if fact.subject in shown]
    alike = [LeftOut(str(fact), "the model's tokens cannot tell its answers apart")
             for fact in facts if fact.subject not in shown and (fact.relation, fact.subject) not in asked]  # fmt: skip
    return (*facts.left_out, *never, *alike)


def certainty(row: Mapping[str, Any]) -> float:
    """Probability of the true answer in a row of answers."""
    return math.exp(row["log_probability"]) if row["open"] else row["probability"]


def unknown_facts(facts: FactSet, known: Rows, count: int, seed: int, exclude: Iterable[str] = ()) -> list[Fact]:
    """Facts that the unedited model answers wrongly and is not sure of, balanced over the answers and seeded.

    One a subject, and none of the subjects of ``exclude``; the first of many are those of few. What was ``taught`` and not learned is none.
    """
    wrong = {(row["relation"], row["subject"]) for row in known
             if not row["correct"] and certainty(row) < 0.5 and not row.get("taught", False)}  # fmt: skip
    never = (fact for fact in facts if (fact.relation, fact.subject) in wrong)
    return stratified_order(one_each(never, {*exclude, *demonstration_subjects()}), random.Random(seed))[:count]


@dataclass(frozen=True)
class Floor:
    """``count`` facts that were never known, drawn by ``seed``: they are edited beside a forget set, and no attacker is told them."""

    count: int
    seed: int


def floor_facts(facts: FactSet, known: Rows, floor: Floor, exclude: Iterable[str]) -> tuple[Fact, ...]:
    """The facts of a floor with edit targets: the first of :func:`unknown_facts`."""
    drawn = unknown_facts(facts, known, floor.count, floor.seed, exclude)
    return with_targets(drawn, sorted({fact.answer for fact in facts}), random.Random(floor.seed))


def halves(facts: Sequence[Fact], fold: int | None) -> tuple[Sequence[Fact], Sequence[Fact]]:
    """What an attacker holds and what is tested: one half each, exchanged in fold 1; without a fold nothing and everything."""
    if fold is None:
        return (), facts
    first, second = facts[: len(facts) // 2], facts[len(facts) // 2 :]
    return (second, first) if fold else (first, second)
