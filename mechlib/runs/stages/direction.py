"""Removal of the direction in which an edit moved the stream."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mechlib.attacks.direction import direction_removal
from mechlib.runs.attacking import attacked
from mechlib.runs.context import Context
from mechlib.runs.result import Result


def compute(context: Context, config: Mapping[str, Any], inputs: Mapping[str, Result], folder: Path) -> Result:
    """Rows are answers before and under attack."""
    return attacked(direction_removal, context, config, inputs)
