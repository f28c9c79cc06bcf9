"""Which facts the model knows, and how the known ones are divided."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mechlib.evals.answers import Answer, ask
from mechlib.facts import FORMATS, Fact, FactSet, Splits, demonstration_subjects, prompts, split, split_by_answer
from mechlib.facts.fact import deal
from mechlib.models.tokens import distinct
from mechlib.runs.context import Context
from mechlib.runs.result import Result


def compute(context: Context, config: Mapping[str, Any], inputs: Mapping[str, Result], folder: Path) -> Result:
    """Ask every fact, or a sample, in one format; rows are the answers. Left out is what the model's tokens cannot tell apart."""
    facts = [fact for fact in context.facts if fact.subject not in demonstration_subjects()]
    if "sample" in config:
        facts = deal(facts, random.Random(0))[: config["sample"]]
    asked = [prompt for prompt in prompts(facts, FORMATS[config["format"]]) if not prompt.open or distinct(context.model, prompt)]
    rows: list[Answer] = []
    for start in range(0, len(asked), 64):
        rows += ask(context.model, asked[start : start + 64])
        context.report(len(rows), len(asked))
    return Result([asdict(row) for row in rows])


def known_facts(facts: FactSet, know: Result, threshold: float) -> FactSet:
    """Facts whose true answer got more than ``threshold``: of the options' probability, or of all tokens' in an open relation."""
    sure = {(row["relation"], row["subject"]) for row in know.rows if certainty(row) > threshold}
    return FactSet("known", tuple(fact for fact in facts if (fact.relation, fact.subject) in sure))


def certainty(row: Mapping[str, Any]) -> float:
    """Probability of the true answer in a row of this stage."""
    return math.exp(row["log_probability"]) if row["open"] else row["probability"]


def splits(facts: FactSet, know: Result, config: Mapping[str, Any]) -> Splits:
    """The parts of the known facts, from the settings that every later stage carries."""
    known, exclude = known_facts(facts, know, config["threshold"]), demonstration_subjects()
    sizes = {name: config[name] for name in ("n_sets", "n_localize", "n_test", "n_validate", "seed")}
    if config["forget"] == "answers":
        return split_by_answer(known, target=config["target"], exclude=exclude, **sizes)
    return split(known, set_size=config["set_size"], exclude=exclude, **sizes)


def localizing(parts: Splits, config: Mapping[str, Any]) -> list[Fact]:
    """The facts that evidence is taken from: all of that part, or one of several equal shares of it.

    Sorted by relation: prompts of one relation share their demonstration, and side by side it is computed once.
    """
    number, of = config.get("share", (0, 1))
    return sorted(parts.localize.facts[number::of], key=lambda fact: fact.relation)
