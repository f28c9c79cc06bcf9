"""General text from a corpus, where TEXTS names one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mechlib.edit.corpus import corpus
from mechlib.runs.context import Context
from mechlib.runs.result import Result


def compute(context: Context, config: Mapping[str, Any], inputs: Mapping[str, Result], folder: Path) -> Result:
    """Rows of tokens and their text."""
    texts = corpus(context.model, config["source"], config["count"], config["length"], config["skip"])
    decode = context.model.tokenizer.decode
    return Result([{"tokens": tokens, "text": decode(tokens, skip_special_tokens=True)} for tokens in texts])
