"""Which facts the model knows, and how the known ones are divided."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mechlib.evals.answers import Answer, ask
from mechlib.facts import FORMATS, FactSet, Splits, demonstration_subjects, prompts, split
from mechlib.models.tokens import distinct
from mechlib.runs.context import Context
from mechlib.runs.result import Result


def compute(context: Context, config: Mapping[str, Any], inputs: Mapping[str, Result], folder: Path) -> Result:
    """Ask every fact in one format; rows are the answers. Left out is what the model's tokens cannot tell apart."""
    facts = [fact for fact in context.facts if fact.subject not in demonstration_subjects()]
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
    return split(
        known_facts(facts, know, config["threshold"]),
        n_sets=config["n_sets"],
        set_size=config["set_size"],
        n_localize=config["n_localize"],
        n_test=config["n_test"],
        seed=config["seed"],
        exclude=demonstration_subjects(),
    )
