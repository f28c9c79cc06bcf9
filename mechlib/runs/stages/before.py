"""Answers that every attack on a model begins from, asked once for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mechlib.runs.attacking import before
from mechlib.runs.context import Context
from mechlib.runs.result import Result


def compute(context: Context, config: Mapping[str, Any], inputs: Mapping[str, Result], folder: Path) -> Result:
    """Rows are answers about the facts to forget, some to maintain, and some that were never known."""
    return before(context, config, inputs)
