"""What a model needs once on a machine, before several processes load it: the conversion of GGUF weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mechlib.models.embedded import embedded_model, gguf_model
from mechlib.models.table import ModelSpec


def prepare(spec: ModelSpec, say: Callable[[str], None] = lambda _: None) -> str:
    """The folder or hub id that transformers loads a model from; GGUF weights are converted first.

    Raises :class:`mechlib.models.ModelError`.
    """
    if spec.source == "embedded":
        return str(embedded_model(spec.location, say))
    if spec.source == "gguf":
        return str(gguf_model(Path(spec.location), say))
    return spec.location
