"""Quantization of an edited model's weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mechlib.attacks.quantization import quantization
from mechlib.runs.attacking import attacked
from mechlib.runs.context import Context
from mechlib.runs.result import Result


def compute(context: Context, config: Mapping[str, Any], inputs: Mapping[str, Result], folder: Path) -> Result:
    """Rows are answers before and under attack."""
    return attacked(quantization, context, config, inputs)
