"""What follows from a fact, and what does not: reverse prompts, consequences, and facts of other kinds."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mechlib.evals.capability import general_facts
from mechlib.evals.reverse import consequence_prompts, followed, reverse, usable
from mechlib.facts import FORMATS, athletes, world_facts
from mechlib.facts.fact import deal
from mechlib.runs.attacking import edited
from mechlib.runs.context import Context
from mechlib.runs.result import Result
from mechlib.runs.stages.know import splits

# Facts of other kinds that are asked.
GENERAL = 48


def compute(context: Context, config: Mapping[str, Any], inputs: Mapping[str, Result], folder: Path) -> Result:
    """Rows by ``ripple``: ``reverse`` and ``consequence`` (sports only), and ``general``, each with what the unedited model does."""
    parts, number = splits(context.facts, inputs["know"], config["splits"]), config["forget_set"]
    form, forget = FORMATS[config["format"]], parts.forget[number].facts
    sports = forget[0].relation == "sport"
    general = deal(world_facts() if sports else athletes(), random.Random(config["seed"]))[:GENERAL]
    asked = consequence_prompts(forget, usable(context.model)[0]) if sports else []
    unedited = inputs["unedited"].rows if "unedited" in inputs else None
    passes = None if unedited is None else _passes(unedited)
    with edited(context.model, inputs.get("edit")) as model:
        rows: list[dict[str, Any]] = [{"ripple": "reverse", **asdict(row)} for row in (reverse(model, forget) if sports else [])]
        context.report(1, 3)
        rows += [{"ripple": "consequence", **asdict(row)} for row in followed(model, asked, passes)]
        context.report(2, 3)
        after = general_facts(model, general, form, forget)
        before = [row.correct for row in after] if unedited is None else [row["correct"] for row in unedited if row["ripple"] == "general"]
        rows += [{"ripple": "general", **asdict(row), "before": known} for row, known in zip(after, before, strict=True)]
    return Result(rows)


def _passes(rows: Iterable[Mapping[str, Any]]) -> set[tuple[str, str]]:
    return {(row["subject"], row["kind"]) for row in rows if row["ripple"] == "consequence" and row["correct"]}
