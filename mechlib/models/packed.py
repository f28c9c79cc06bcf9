"""Texts in a few long rows almost without padding, in which every beginning that texts share stands once.

The tokens of a row form a tree: each attends to its ancestors and itself, at the position that it has in
its text. What a text computes is exactly what it computes alone, forwards and backwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechlib.models.forward import ending, entering, passing, unembed
from mechlib.models.language_model import LanguageModel

# Attention of every node with every node of its row is to stay a small part of the work.
_WIDTH = 256


@dataclass(frozen=True)
class Packed:
    """A row holds a share of the texts. ``visible``: which nodes (last axis) of its row each node attends to.

    ``paths``: each text's nodes, from its first token to its last, counted through all rows.
    """

    tokens: Int[Tensor, "row node"]
    positions: Int[Tensor, "row node"]
    visible: Bool[Tensor, "row node node"]
    paths: tuple[Int[Tensor, " _"], ...]

    @property
    def ends(self) -> Int[Tensor, " text"]:
        """Each text's last node."""
        return torch.stack([path[-1] for path in self.paths])


def pack(model: LanguageModel, sequences: Sequence[Sequence[int]], rows: int | None = None) -> Packed:
    """Pack token sequences, none of them empty, into rows (by default as many as keep attention cheap)."""
    order = sorted(range(len(sequences)), key=lambda n: tuple(sequences[n]))
    # How many nodes each text adds to those before it: rows get equal shares of them.
    own = [len(sequences[n]) - _shared(sequences[n], sequences[last]) for last, n in zip([order[0], *order], order, strict=False)]
    own[0] = len(sequences[order[0]])
    rows = rows or max(1, round(sum(own) / _WIDTH))
    shares: list[dict[tuple[int, int], int]] = [{} for _ in range(rows)]
    paths: dict[int, tuple[int, list[int]]] = {}
    before = 0
    for n, added in zip(order, own, strict=True):
        row = min(rows - 1, rows * before // sum(own))
        before += added
        path: list[int] = []
        for token in sequences[n]:
            path.append(shares[row].setdefault((path[-1] if path else -1, token), len(shares[row])))
        paths[n] = row, path
    width = max(len(nodes) for nodes in shares)
    tokens, positions = torch.zeros(2, rows, width, dtype=torch.long)
    visible = torch.eye(width, dtype=torch.bool).repeat(rows, 1, 1)
    for row, nodes in enumerate(shares):
        for (parent, token), node in nodes.items():
            tokens[row, node] = token
            if parent >= 0:
                visible[row, node] |= visible[row, parent]
                positions[row, node] = positions[row, parent] + 1
    at = model.device
    counted = (torch.tensor(path, device=at) + row * width for row, path in (paths[n] for n in range(len(sequences))))
    return Packed(tokens.to(at), positions.to(at), visible.to(at), tuple(counted))


def _shared(first: Sequence[int], second: Sequence[int]) -> int:
    return next((n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second)))


def join(first: Packed, second: Packed) -> Packed:
    """Both side by side, row by row; see :func:`moved` for where their nodes are then."""
    return Packed(
        torch.cat([first.tokens, second.tokens], 1),
        torch.cat([first.positions, second.positions], 1),
        torch.stack([torch.block_diag(one, other).bool() for one, other in zip(first.visible, second.visible, strict=True)]),
        (*(moved(path, first, second, 0) for path in first.paths), *(moved(path, first, second, 1) for path in second.paths)),
    )


def moved(nodes: Int[Tensor, " some"], first: Packed, second: Packed, which: int) -> Int[Tensor, " some"]:
    """Where nodes of the first (``which`` is 0) or second are in both joined."""
    widths = first.tokens.shape[1], second.tokens.shape[1]
    return nodes // widths[which] * sum(widths) + nodes % widths[which] + (widths[0] if which else 0)


def hidden_at(
    model: LanguageModel,
    packed: Packed,
    nodes: Int[Tensor, " read"],
    stream: Float[Tensor, "row node d_model"] | None = None,
    layer: int = 0,
) -> Float[Tensor, "read d_model"]:
    """Final hidden states (after the last norm) at some nodes; ``stream``, if given, is what enters ``layer``."""
    read, width = nodes.unique(), packed.tokens.shape[1]
    with entering(model, layer, stream), ending(model, read // width, read % width):
        return _run(model, packed).flatten(0, 1)[nodes]


def answer_logits(model: LanguageModel, packed: Packed) -> Float[Tensor, "text vocabulary"]:
    """Logits of the token that follows each text."""
    return unembed(model, hidden_at(model, packed, packed.ends))


@torch.no_grad()
def stream_into(model: LanguageModel, packed: Packed, layer: int) -> Float[Tensor, "row node d_model"]:
    """The residual stream right before ``layer``."""
    caught: list[Tensor] = []
    handle = model.layers[layer].register_forward_pre_hook(lambda _module, arguments: caught.append(arguments[0]))
    try:
        with passing(model.layers[layer:]):
            _run(model, packed)
    finally:
        handle.remove()
    return caught[0]


def _run(model: LanguageModel, packed: Packed) -> Float[Tensor, "row node d_model"]:
    output = model.network.model(
        input_ids=packed.tokens, position_ids=packed.positions, attention_mask=_masks(model, packed), use_cache=False
    )
    return output.last_hidden_state


def _masks(model: LanguageModel, packed: Packed) -> Any:
    """The mask for every kind of layer, in the form that the network's attention reads."""
    config = model.network.config.get_text_config()
    window, kinds = getattr(config, "sliding_window", None), set(getattr(config, "layer_types", None) or ())
    near = packed.visible
    if window is not None:
        near = near & (packed.positions[:, :, None] - packed.positions[:, None] < window)

    def mask(visible: Tensor) -> Tensor:
        if config._attn_implementation == "sdpa":
            return visible[:, None]
        nothing = torch.zeros(visible.shape, device=visible.device, dtype=torch.float32)
        return nothing.masked_fill(~visible, torch.finfo(torch.float32).min)[:, None]

    masks = {"full_attention": packed.visible, "sliding_attention": near}
    return {kind: mask(masks[kind]) for kind in kinds} if kinds else mask(packed.visible)
