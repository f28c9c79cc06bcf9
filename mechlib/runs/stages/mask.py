"""A mask over the weights of one localization, trained to forget one forget set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mechlib.components import Localization
from mechlib.edit.weight_masking import FILE, MaskConfig, train_mask
from mechlib.facts import FORMATS, prompts
from mechlib.runs.context import Context
from mechlib.runs.stages.know import splits
from mechlib.runs.result import Result


def compute(context: Context, config: Mapping[str, Any], inputs: Mapping[str, Result], folder: Path) -> Result:
    """Rows are the learning curve; the mask lies beside them."""
    parts, form, number = splits(context.facts, inputs["know"], config["splits"]), FORMATS[config["format"]], config["forget_set"]
    mask, history = train_mask(
        context.model,
        Localization.from_json(inputs["localize"].value),
        prompts(parts.forget[number].facts, form),
        prompts(parts.retained(parts.maintain_train, number), form),
        [row["tokens"] for row in inputs["text"].rows],
        MaskConfig(**config["training"]),
        context.report,
    )
    mask.save(folder / FILE)
    return Result([asdict(step) for step in history], {"masked": mask.masked, "weights": len(mask.values)})
