"""Refuse a GGUF file whose scaled positions were lost in its conversion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mechlib.models.table import ModelError


def check_scaling(source: Path, config: Any) -> None:
    """Raise :class:`ModelError` if a file scales its rotary positions and the converted configuration does not.

    ``rope_freqs`` (Llama 3.1 and later) and ``*.rope.scaling.*`` are passed over in silence by some versions of transformers.
    """
    from gguf import GGUFReader

    reader = GGUFReader(source)
    asked = [tensor.name for tensor in reader.tensors if tensor.name.startswith(("rope_freqs", "rope_factors"))]
    fields = [(name, field) for name, field in reader.fields.items() if name.endswith((".rope.scaling.type", ".rope.scaling.factor"))]
    asked += [name for name, field in fields if field.contents() not in ("none", 0.0, 1.0)]
    rope = config.get_text_config().rope_parameters or {}
    kinds = {part.get("rope_type", "default") for part in (rope, *rope.values()) if isinstance(part, dict)}
    if asked and kinds <= {"default"}:
        raise ModelError(f"{source.name} scales its positions ({asked[0]}), which is lost in conversion: give the model as a folder")
