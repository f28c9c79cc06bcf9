"""Answers: of all facts, which says what the model knows; and of a forget set beside facts that should have stayed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mechlib.evals.answers import Answer, answer_prompts
from mechlib.facts import Fact, Prompt, PromptFormat, demonstration_subjects, neighbourhood, prompts
from mechlib.facts.fact import stratified_order
from mechlib.facts.invented import taught
from mechlib.models.precision import Precision, multiplying
from mechlib.models.tokens import distinct
from mechlib.runs.knowledge import Floor, floor_facts, halves, known_facts, unknown_facts
from mechlib.runs.spec import Stage
from mechlib.runs.stages.settings import ForgetSet, Subject
from mechlib.runs.work import Result, Work

# ``forget``: tested; ``relearned``: held by an attacker; ``maintain``: nobody edited them; ``held_out``: the answer of the
# forget set, not trained on; ``floor``: never known to the unedited model, and edited; ``unknown``: never known, and not edited;
# ``neighbourhood``: other subjects, same answer.
Group = Literal["forget", "relearned", "maintain", "held_out", "floor", "unknown", "neighbourhood"]
NEIGHBOURS = 2


@dataclass(frozen=True)
class KnownSettings:
    """Every fact of the table, or a ``sample`` of so many, in one format. ``whole``: by all tokens of an answer.

    ``planted``: so many facts of the table were taught to the model, and rows say of each fact whether it was.
    """

    subject: Subject
    format: PromptFormat
    sample: int | None = None
    whole: bool | None = None
    planted: int | None = None


@dataclass(frozen=True)
class AnswerSettings:
    """Which ``groups`` of facts are asked of one forget set's model. ``n_maintain`` and ``n_unknown``: at most so many of them.

    ``floor``: the facts that were edited beside the set, which none of the unknown is. ``precision``: of the products;
    ``None``: the one that is fast on the machine.
    """

    about: ForgetSet
    groups: tuple[Group, ...]
    rotations: int = 1
    n_maintain: int | None = None
    n_unknown: int | None = None
    seed: int | None = None
    whole: bool | None = None
    floor: Floor | None = None
    precision: Precision | None = None

    @property
    def asked(self) -> int:
        """About how many prompts that is."""
        splits = self.about.splits
        size, tested = splits.set_size or splits.n_test, min(splits.n_test, self.n_maintain or splits.n_test)
        count: dict[Group, int] = {"forget": size, "relearned": 0, "floor": self.floor.count if self.floor else 0,
                                   "unknown": self.n_unknown or 0, "neighbourhood": NEIGHBOURS * size}  # fmt: skip
        return self.rotations * sum(count.get(group, tested) for group in self.groups)


def known(work: Work[KnownSettings]) -> Result:
    """Rows are the answers of the unedited model. Facts whose answers its tokens cannot tell apart are left out."""
    facts = [fact for fact in work.context.facts if fact.subject not in demonstration_subjects()]
    if work.settings.sample is not None:
        facts = stratified_order(facts, random.Random(0))[: work.settings.sample]
    asked = [one for one in prompts(facts, work.settings.format) if not one.first or distinct(work.model, one)]
    rows: list[Answer] = []
    for start in range(0, len(asked), 64):
        rows += answer_prompts(work.model, asked[start : start + 64], whole=bool(work.settings.whole))
        work.progress(len(rows), len(asked))
    if work.settings.planted is None:
        return Result([asdict(row) for row in rows])
    told = {fact.subject for fact in taught(work.context.facts, work.settings.planted)}
    return Result([{**asdict(row), "taught": row.subject in told} for row in rows])


def answers(work: Work[AnswerSettings]) -> Result:
    """Rows are answers of the edited or unedited model, by ``group``."""
    model, whole = multiplying(work.edited, work.settings.precision), bool(work.settings.whole)
    found = (answer_prompts(model, asked, group, whole=whole) for group, asked in grouped(work, work.settings))
    return Result([asdict(row) for rows in found for row in rows])


def grouped(work: Work[Any], settings: AnswerSettings, fold: int | None = None) -> Iterator[tuple[Group, list[Prompt]]]:
    """The prompts of each group, without those whose answers the model's tokens cannot tell apart."""
    for group in settings.groups:
        asked = prompts(_facts(work, settings, group, fold), settings.about.format, settings.rotations)
        if group == "neighbourhood":
            asked = _neighbourhood(work, settings)
        yield group, [one for one in asked if distinct(work.model, one)]


def _facts(work: Work[Any], settings: AnswerSettings, group: Group, fold: int | None) -> Sequence[Fact]:
    splits, number = work.splits(settings.about.splits), settings.about.forget_set
    (held, tested), known = halves(splits.forget[number].facts, fold), work.inputs["known"].rows
    match group:
        case "forget":
            return tested
        case "relearned":
            return held
        case "maintain":
            return splits.retained(splits.maintain_test, number)[: settings.n_maintain]
        case "held_out":
            return splits.held_out[number].facts if splits.held_out else ()
        case "floor":
            return floor_facts(work.context.facts, known, settings.floor, splits.forget[number].subjects) if settings.floor else ()
        case "unknown":
            edited = settings.floor.count if settings.floor else 0
            count, seed = edited + (settings.n_unknown or 0), settings.seed or 0
            return unknown_facts(work.context.facts, known, count, seed, splits.forget[number].subjects)[edited:]
        case "neighbourhood":
            return ()


def _neighbourhood(work: Work[Any], settings: AnswerSettings) -> list[Prompt]:
    about = settings.about
    forget = work.splits(about.splits).forget[about.forget_set]
    known = known_facts(work.context.facts, work.inputs["known"].rows, about.splits.threshold)
    others = [fact for fact in known if fact not in forget.facts and fact.subject not in forget.subjects]
    near = [one for fact in forget for one in neighbourhood(fact, others, about.format)[:NEIGHBOURS]]
    return list({one.text: one for one in near}.values())


# Facts of a table that is not read here: about as many as the package's own have.
_TABLE, _SECONDS_A_PROMPT = 1800, 0.018


def _seconds_known(settings: KnownSettings) -> float:
    return 3 * _SECONDS_A_PROMPT * (settings.sample or _TABLE)


def _seconds(settings: AnswerSettings) -> float:
    return 0.3 + _SECONDS_A_PROMPT * settings.asked


KNOWN = Stage("known", 1, known, _seconds_known)
ANSWERS = Stage("answers", 2, answers, _seconds)
