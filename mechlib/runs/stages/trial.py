"""One try of hyperparameters, on facts that no result is about: edited once, measured, and thrown away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mechlib.components import Localization
from mechlib.edit.train import EditConfig, edit
from mechlib.evals.answers import ask
from mechlib.evals.damage import damage
from mechlib.facts import FORMATS, Fact, prompts
from mechlib.runs.context import Context
from mechlib.runs.stages.know import splits
from mechlib.runs.result import Result


def compute(context: Context, config: Mapping[str, Any], inputs: Mapping[str, Result], folder: Path) -> Result:
    """Rows are answers about the validation facts (``forget``) and about those used to localize (``maintain``)."""
    parts, form = splits(context.facts, inputs["know"], config["splits"]), FORMATS[config["format"]]
    localization = Localization.from_json(inputs["localize"].value)
    forget, maintain = _parts(parts.validate.facts, parts.localize.facts, config)
    retain = _parts(parts.validate.facts, parts.maintain_train.facts, config)[1]
    texts = [row["tokens"] for row in inputs["text"].rows]
    training = EditConfig(**config["training"])
    delta, _ = edit(context.model, localization, prompts(forget, form), prompts(retain, form), texts, training, context.report)
    with delta.applied(context.model):
        rows = [
            row
            for group, facts in (("forget", forget), ("maintain", maintain))
            for row in ask(context.model, prompts(facts, form), group)
        ]
    harm = damage(context.model, delta, {"samples": [row["tokens"] for row in inputs["other text"].rows][: config["count"]]})
    change = sum(row.loss_after - row.loss_before for row in harm) / len(harm)
    return Result([asdict(row) for row in rows], {"norm": delta.norm, "text": change, **config["trial"]})


def _parts(forget: tuple[Fact, ...], others: tuple[Fact, ...], config: Mapping[str, Any]) -> tuple[list[Fact], list[Fact]]:
    """Where whole answers are forgotten, only one answer of the validation facts is, and nothing with it is kept."""
    if config["splits"]["forget"] != "answers":
        return list(forget), list(others)
    gone = min(fact.answer for fact in forget)
    return [fact for fact in forget if fact.answer == gone], [fact for fact in others if fact.answer != gone]
