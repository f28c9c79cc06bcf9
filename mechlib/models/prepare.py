"""What a model needs once on a machine, before several processes load it: the conversion of GGUF weights."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

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
    """Read a GGUF file once: transformers does so for configuration, tokenizer and weights anew, which takes most of a conversion.

    And read it as a plain array, page by page as before: cutting the vocabulary out of numpy's memory
    map makes another memory map of every string, which takes most of the rest.
    """
    import gguf
    from gguf import gguf_reader

    files: Any = gguf
    module: Any = gguf_reader
    reader, arrays = files.GGUFReader, module.np
    files.GGUFReader = cache(reader)
    module.np = SimpleNamespace(**{**vars(np), "memmap": _plain})
    try:
        yield
    finally:
        files.GGUFReader, module.np = reader, arrays


def _plain(path: Any, mode: Any) -> np.ndarray:
    return np.memmap(path, mode=mode).view(np.ndarray)
