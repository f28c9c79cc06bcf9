"""Relearning with some of the true answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mechlib.attacks.relearning import relearning
from mechlib.runs.attacking import attacked
from mechlib.runs.context import Context
from mechlib.runs.result import Result


def compute(context: Context, config: Mapping[str, Any], inputs: Mapping[str, Result], folder: Path) -> Result:
    """Rows are answers before and under attack."""
    return attacked(relearning, context, config, inputs)
