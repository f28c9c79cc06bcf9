"""From evidence to components, at fact lookup's parameter count; or the components that a file gives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mechlib.components import Component
from mechlib.localize.registry import Measured, localize
from mechlib.patching.probing import ProbeRow
from mechlib.patching.scores import Scores
from mechlib.runs.context import Context
from mechlib.runs.result import Result

FILE = "localization.json"


def compute(context: Context, config: Mapping[str, Any], inputs: Mapping[str, Result], folder: Path) -> Result:
    """One localization; ``localization.json`` beside it can be shared and given to another study."""
    arch, model = context.model.architecture, context.model.name
    scores = {key: Scores.from_json(result.value) for key, result in inputs.items() if key not in ("probe", "paths")}
    if "paths" in inputs:
        scores["paths"] = Scores.from_json(inputs["paths"].value["stream"])
    probe = [ProbeRow(**row) for row in inputs["probe"].rows] if "probe" in inputs else []
    given = [Component.parse(name) for name in config.get("components", ())]
    found = localize(config["method"], Measured(probe, scores, config["rule"], given), arch, config["seed"], model=model)
    found.save(folder / FILE)
    return Result(value=found.to_json())
