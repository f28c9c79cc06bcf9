"""Sports-Athlete-Editing of one forget set with one localization."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mechlib.components import Localization
from mechlib.edit.delta import FILE
from mechlib.edit.train import EditConfig, edit
from mechlib.facts import FORMATS, prompts
from mechlib.runs.context import Context
from mechlib.runs.stages.know import splits
from mechlib.runs.result import Result


def compute(context: Context, config: Mapping[str, Any], inputs: Mapping[str, Result], folder: Path) -> Result:
    """Rows are the learning curve; the delta lies beside them."""
    parts = splits(context.facts, inputs["know"], config["splits"])
    localization = Localization.from_json(inputs["localize"].value)
    form = FORMATS[config["format"]]
    delta, history = edit(
        context.model,
        localization,
        prompts(parts.forget[config["forget_set"]].facts, form),
        prompts(parts.maintain_train.facts, form),
        [row["tokens"] for row in inputs["text"].rows],
        EditConfig(**config["training"]),
        context.report,
    )
    delta.save(folder / FILE)
    value = {"norm": delta.norm, "parameters": delta.size, "localization": localization.to_json()}
    return Result([asdict(step) for step in history], value)
