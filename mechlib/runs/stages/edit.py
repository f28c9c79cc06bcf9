"""One forget set, or one part of it after the parts before, edited with one localization."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mechlib.components import Localization
from mechlib.edit.delta import FILE, Delta, merge
from mechlib.edit.train import EditConfig, edit
from mechlib.facts import FORMATS, prompts
from mechlib.runs.context import Context
from mechlib.runs.stages.know import splits
from mechlib.runs.result import Result


def compute(context: Context, config: Mapping[str, Any], inputs: Mapping[str, Result], folder: Path) -> Result:
    """Rows are the learning curve; the delta lies beside them. It holds the parts before, too."""
    parts, form = splits(context.facts, inputs["know"], config["splits"]), FORMATS[config["format"]]
    localization = Localization.from_json(inputs["localize"].value)
    chosen = inputs["tune"].value if "tune" in inputs else {}
    number, of = config["part"]
    facts = parts.forget[config["forget_set"]].facts
    size = -(-len(facts) // of)
    before = Delta.load(inputs["before"].folder / FILE) if "before" in inputs and inputs["before"].folder else None
    with before.applied(context.model) if before else nullcontext():
        delta, history = edit(
            context.model,
            localization,
            prompts(facts[number * size : (number + 1) * size], form),
            prompts(parts.retained(parts.maintain_train, config["forget_set"]), form),
            [row["tokens"] for row in inputs["text"].rows],
            EditConfig(**{**config["training"], **chosen}),
            context.report,
        )
    whole = merge(before, delta) if before else delta
    whole.save(folder / FILE)
    value = {"norm": whole.norm, "parameters": whole.size, "localization": localization.to_json(), **chosen}
    return Result([asdict(step) for step in history], value)
