"""A tiny random Llama as a GGUF file, with a SentencePiece vocabulary of single letters and a few words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np

WIDTH, HIDDEN, HEADS = 16, 24, 2
LETTERS = "▁ABFabceflkostu"
# Every piece is made of two shorter ones: merges are rebuilt from these.
PIECES = [*LETTERS, "▁f", "oo", "▁foo", "tb", "al", "all", "tball", "▁football", "Fa", "ct", "Fact"]
TOKENS = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *PIECES]


def tensors(layers: int = 1, seed: int = 0) -> dict[str, np.ndarray]:
    """Weights by their GGUF names."""
    draw = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (len(TOKENS), WIDTH), "output.weight": (len(TOKENS), WIDTH)}
    for layer in range(layers):
        shapes |= {f"blk.{layer}.attn_{name}.weight": (WIDTH, WIDTH) for name in ("q", "k", "v", "output")}
        shapes |= {f"blk.{layer}.ffn_{name}.weight": (HIDDEN, WIDTH) for name in ("gate", "up")}
        shapes |= {f"blk.{layer}.ffn_down.weight": (WIDTH, HIDDEN)}
        shapes |= {f"blk.{layer}.{name}_norm.weight": (WIDTH,) for name in ("attn", "ffn")}
    shapes["output_norm.weight"] = (WIDTH,)
    return {name: draw.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}


def write_gguf(
    path: Path, weights: dict[str, np.ndarray] | None = None, tokens: list[str] = TOKENS, kind: str = "llama", **fields: Any
) -> Path:
    """Write the model; ``fields`` are further values of the header: texts, whole numbers or floats."""
    writer = gguf.GGUFWriter(path, kind)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(number) for number in range(len(tokens))])
    writer.add_token_types([2, 3, 3, *[6] * 256, *[1] * (len(tokens) - 259)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    for name, value in fields.items():
        add = {str: writer.add_string, int: writer.add_uint32, float: writer.add_float32}[type(value)]
        add(name.replace("__", "."), value)
    for name, weight in (tensors() if weights is None else weights).items():
        writer.add_tensor(name, weight)
    for write in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        write()
    return path
