"""What a GGUF file says of positions and attention, and transformers passes over in its conversion, put into the configuration.

Read as llama.cpp reads it (``llama-model.cpp``, ``ggml_rope_yarn``): what it does not know either is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mechlib.models.table import ModelError

_SCALING = ".rope.scaling."
# What each kind of scaling is made of; a file that says more is refused.
_KEYS = {"linear": {"factor"}, "yarn": {"factor", "original_context_length"}}
# Layers of the models with 27 billion weights, which scale queries by the width of the model: it stands in no file.
_BY_WIDTH = {"gemma2": 46, "gemma3_text": 62}


def apply_scaling(source: Path, config: Any) -> None:
    """Change the configuration of a converted model to what its file says.

    ``rope_freqs`` (Llama 3.1 and later) divides each rotary frequency by a number; ``*.rope.scaling.*`` scales linearly or by
    YaRN, in Gemma 3 only the layers that attend to everything. Raises :class:`ModelError` for any other scaling.
    """
    from gguf import GGUFReader

    reader, text = GGUFReader(source), config.get_text_config()
    fields = {name: field.contents() for name, field in reader.fields.items() if ".rope.scal" in name}
    divisors = {tensor.name: np.asarray(tensor.data, np.float32) for tensor in reader.tensors if tensor.name.startswith("rope_f")}
    scaling = _scaling(source, fields)
    if divisors:
        scaling = _divided(source, divisors, scaling, text)
    if scaling:
        _scale(source, text, scaling)
    if text.num_hidden_layers == _BY_WIDTH.get(text.model_type):
        text.query_pre_attn_scalar = text.hidden_size // text.num_attention_heads


def _scaling(source: Path, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Rotary parameters of ``*.rope.scaling.*``; none if nothing is scaled."""
    said = {name.split(_SCALING)[1]: value for name, value in fields.items() if _SCALING in name}
    # An earlier name, and what llama.cpp takes a factor without a kind for.
    earlier = [value for name, value in fields.items() if name.endswith(".rope.scale_linear")]
    said = {"factor": earlier[0], **said} if earlier else said
    said.pop("finetuned", None)
    kind, factor = said.pop("type", "linear"), said.get("factor") or 1.0
    if kind == "none" or (factor == 1.0 and not set(said) - {"factor"} and kind in _KEYS):
        return {}
    if kind not in _KEYS or set(said) != _KEYS[kind] or not 0 < factor < float("inf"):
        raise _unknown(source, ", ".join(sorted(fields)))
    about = {"rope_type": kind, "factor": float(factor)}
    return about if kind == "linear" else {**about, "original_max_position_embeddings": int(said["original_context_length"])}


def _divided(source: Path, divisors: Mapping[str, np.ndarray], scaling: Mapping[str, Any], text: Any) -> dict[str, Any]:
    """The divisors themselves as rotary parameters: the only kind that takes one for each frequency is that of long contexts."""
    found = divisors.get("rope_freqs.weight")
    heads = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    if set(divisors) != {"rope_freqs.weight"} or found is None or scaling or found.shape != (heads // 2,):
        raise _unknown(source, ", ".join(sorted(divisors)))
    if not (np.isfinite(found).all() and (found > 0).all()):
        raise ModelError(f"{source.name} is damaged: rope_freqs.weight is to hold positive numbers")
    if (found == 1).all():
        return {}
    each = [float(divisor) for divisor in found]
    return {"rope_type": "longrope", "short_factor": each, "long_factor": each, "factor": 1.0, "attention_factor": 1.0,
            "original_max_position_embeddings": text.max_position_embeddings}  # fmt: skip


def _scale(source: Path, text: Any, scaling: Mapping[str, Any]) -> None:
    before = text.rope_parameters
    if text.model_type == "gemma3_text":
        if scaling["rope_type"] != "linear":
            raise _unknown(source, f"{scaling['rope_type']} in Gemma 3")
        text.rope_parameters = {**before, "full_attention": {**before["full_attention"], **scaling}}
    elif "rope_theta" in before:
        text.rope_parameters = {**before, **scaling}
    else:
        raise _unknown(source, f"{scaling['rope_type']} in {text.model_type}")


def _unknown(source: Path, what: str) -> ModelError:
    return ModelError(f"{source.name} scales its positions in a way that cannot be carried over ({what}): give the model as a folder")
