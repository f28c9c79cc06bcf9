"""General text, sampled from the unedited model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mechlib.edit.general_text import sample
from mechlib.runs.context import Context
from mechlib.runs.result import Result


def compute(context: Context, config: Mapping[str, Any], inputs: Mapping[str, Result], folder: Path) -> Result:
    """Rows of tokens and their text."""
    texts = sample(context.model, config["count"], config["length"], config["seed"])
    decode = context.model.tokenizer.decode
    return Result([{"tokens": tokens, "text": decode(tokens, skip_special_tokens=True)} for tokens in texts])
