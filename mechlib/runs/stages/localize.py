"""From evidence to components, at fact lookup's parameter count."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mechlib.localize.registry import Measured, localize
from mechlib.patching.probing import ProbeRow
from mechlib.patching.scores import Scores
from mechlib.runs.context import Context
from mechlib.runs.result import Result


def compute(context: Context, config: Mapping[str, Any], inputs: Mapping[str, Result], folder: Path) -> Result:
    """One localization."""
    measured = Measured(
        probe=[ProbeRow(**row) for row in inputs["probe"].rows],
        scores={key: Scores.from_json(result.value) for key, result in inputs.items() if key != "probe"},
    )
    found = localize(config["method"], measured, context.model.architecture, config["seed"], model=context.model.name)
    return Result(value=found.to_json())
