"""What a model needs once on a machine, before several processes load it: the conversion of GGUF weights."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from mechlib.models.embedded import embedded_model, gguf_model
from mechlib.models.table import ModelSpec


def prepare(spec: ModelSpec, report: Callable[[str], None]) -> None:
    """Convert a model's weights if that was not done before; raises :class:`mechlib.models.ModelError`."""
    with _read_once():
        if spec.source == "embedded":
            embedded_model(report)
        elif spec.source == "gguf":
            gguf_model(Path(spec.location), report)


@contextmanager
def _read_once() -> Generator[None]:
    """Read a GGUF file once: transformers does so for configuration, tokenizer and weights anew, which takes most of a conversion."""
    import gguf

    files: Any = gguf
    reader = files.GGUFReader
    files.GGUFReader = cache(reader)
    try:
        yield
    finally:
        files.GGUFReader = reader
