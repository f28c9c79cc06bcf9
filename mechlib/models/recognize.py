"""Which known model a configuration is that of, by its sizes and never by its name; and in which format its weights are stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from mechlib.components import Architecture

Dtype = Literal["float32", "bfloat16"]

# The models' own config.json on the hub: their kind, sizes and vocabulary.
SIZES: Mapping[str, tuple[str, Architecture, int]] = {
    "gemma-3-270m": ("gemma3_text", Architecture(18, 4, 1, 640, 256, 2048), 262_144),
    "smollm2-135m": ("llama", Architecture(30, 9, 3, 576, 64, 1536), 49_152),
    "gemma-7b": ("gemma", Architecture(28, 16, 16, 3072, 256, 24576), 256_000),
    "gemma-2-9b": ("gemma2", Architecture(42, 16, 8, 3584, 256, 14336), 256_000),
    "llama-3-8b": ("llama", Architecture(32, 32, 8, 4096, 128, 14336), 128_256),
}


def known_as(config: Mapping[str, Any]) -> str | None:
    """The known model with the kind, sizes and vocabulary of a ``config.json``, if there is one.

    Llama 3.1 has the sizes of Llama 3: scaled positions tell them apart. An instructed model is recognized as its base.
    """
    rope = config.get("rope_scaling") or config.get("rope_parameters") or {}
    if any(part.get("rope_type", "default") != "default" for part in (rope, *rope.values()) if isinstance(part, Mapping)):
        return None
    heads = config.get("num_attention_heads") or 0
    found = (
        config.get("num_hidden_layers"), heads, config.get("num_key_value_heads") or heads, config.get("hidden_size"),
        config.get("head_dim") or (config.get("hidden_size") or 0) // (heads or 1), config.get("intermediate_size"),
    )  # fmt: skip
    kind, vocabulary = config.get("model_type"), config.get("vocab_size")
    return next((name for name, known in SIZES.items() if (kind, found, vocabulary) == (known[0], _numbers(known[1]), known[2])), None)


def stored_dtype(config: Mapping[str, Any]) -> Dtype:
    """``bfloat16`` if a ``config.json`` says so, else ``float32``, which holds every other format exactly."""
    inner = config.get("text_config")
    parts = (config, inner if isinstance(inner, Mapping) else {})
    said = next((part[key] for part in parts for key in ("dtype", "torch_dtype") if part.get(key)), None)
    return "bfloat16" if said == "bfloat16" else "float32"


def _numbers(sizes: Architecture) -> tuple[int, ...]:
    return sizes.n_layers, sizes.n_heads, sizes.n_key_value_heads, sizes.d_model, sizes.d_head, sizes.d_mlp
