"""Texts packed into a few long rows: a beginning that several texts share is stored once, with almost no padding.

The tokens of a row form a tree: each attends to its ancestors and itself, at the position that it has in
its text. What a text computes is exactly what it computes alone, forwards and backwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from numbers import Integral

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mechlib.errors import shown
from mechlib.models.language_model import LanguageModel
from mechlib.models.table import ModelError

# Attention of every node with every node of its row is to stay a small part of the work.
_WIDTH = 256


@dataclass(frozen=True)
class Packed:
    """A row holds a share of the texts. ``visible``: which nodes (last axis) of its row each node attends to.

    ``nodes``: those of each text from its first token to its last, text after text, numbered row after row;
    ``lengths``: how many tokens each text has.
    """

    tokens: Int[Tensor, "row node"]
    positions: Int[Tensor, "row node"]
    visible: Bool[Tensor, "row node node"]
    nodes: Int[Tensor, " _"]
    lengths: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def paths(self) -> tuple[Int[Tensor, " _"], ...]:
        """The nodes of each text."""
        return tuple(self.nodes.split(self.lengths))

    @cached_property
    def ends(self) -> Int[Tensor, " text"]:
        """Each text's last node."""
        return self.nodes[torch.tensor([end - 1 for end in accumulate(self.lengths)], device=self.nodes.device)]

    def repeated(self, times: int) -> Packed:
        """All rows ``times`` times, one copy of all texts after the other."""
        starts = torch.arange(times, device=self.tokens.device)[:, None] * self.tokens.numel()
        tokens, positions, visible = self.tokens.repeat(times, 1), self.positions.repeat(times, 1), self.visible.repeat(times, 1, 1)
        return Packed(tokens, positions, visible, (self.nodes + starts).flatten(), self.lengths * times)


def pack(
    model: LanguageModel, sequences: Sequence[Sequence[int]], rows: int | None = None, share_at_most: int | None = None
) -> Packed:
    """Pack token sequences, none of them empty, into rows (by default as many as keep attention cheap).

    With ``share_at_most`` each text has nodes of its own from that position on. Raises
    :class:`ModelError` for a text so long that its positions are scaled by its length or that it has none left, and for what is no
    text of the model's tokens.
    """
    _check_tokens(model, sequences)
    check_length(model, max(map(len, sequences)))
    order = sorted(range(len(sequences)), key=lambda n: tuple(sequences[n]))
    limit = max(map(len, sequences)) if share_at_most is None else share_at_most
    # How many nodes each text adds to those before it: rows get equal shares of them.
    pairs = zip([order[0], *order], order, strict=False)
    own = [len(sequences[n]) - min(limit, _shared(sequences[n], sequences[last])) for last, n in pairs]
    own[0] = len(sequences[order[0]])
    rows = rows or max(1, round(sum(own) / _WIDTH))
    # A node is known by its parent, its token and, where nothing is shared, its text.
    shares: list[dict[tuple[int, int, int], int]] = [{} for _ in range(rows)]
    paths: dict[int, tuple[int, list[int]]] = {}
    before = 0
    for n, added in zip(order, own, strict=True):
        row = min(rows - 1, rows * before // sum(own))
        before += added
        path: list[int] = []
        for position, token in enumerate(sequences[n]):
            key = path[-1] if path else -1, token, n if position >= limit else -1
            path.append(shares[row].setdefault(key, len(shares[row])))
        paths[n] = row, path
    return _packed(model, shares, [paths[n] for n in range(len(sequences))])


def _check_tokens(model: LanguageModel, sequences: Sequence[Sequence[int]]) -> None:
    if not sequences or not all(len(one) for one in sequences):
        raise ModelError("there is no text, or one without a token: give at least one token of each of at least one text")
    size = model.network.get_input_embeddings().num_embeddings
    for token in {token for one in sequences for token in one}:
        if not isinstance(token, Integral) or not 0 <= token < size:
            raise ModelError(f"{shown(token)} is no token of {model.name}: give ids from 0 to {size - 1}, as encode does")


def check_length(model: LanguageModel, longest: int) -> None:
    """Raises :class:`ModelError` for texts of so many tokens if a token's position would depend on them, or there is none."""
    limit = model.family.most_tokens(model.config)
    if limit is not None and longest > limit:
        why = "there are no positions" if model.family.learned else "positions are scaled by a text's length"
        raise ModelError(f"a text has {longest} tokens, and beyond {limit} {why} in {model.name}: shorten it")


def _packed(model: LanguageModel, shares: Sequence[dict[tuple[int, int, int], int]], paths: Sequence[tuple[int, list[int]]]) -> Packed:
    # Node by node on the processor, then in one piece to where the model is.
    width = max(len(nodes) for nodes in shares)
    tokens, positions = np.zeros((2, len(shares), width), dtype=np.int64)
    visible = np.tile(np.eye(width, dtype=np.bool_), (len(shares), 1, 1))
    for row, nodes in enumerate(shares):
        for (parent, token, _), node in nodes.items():
            tokens[row, node] = token
            if parent >= 0:
                visible[row, node] |= visible[row, parent]
                positions[row, node] = positions[row, parent] + 1
    counted = np.concatenate([np.array(path) + row * width for row, path in paths])
    there = [torch.from_numpy(each).to(model.device) for each in (tokens, positions, visible, counted)]
    return Packed(there[0], there[1], there[2], there[3], tuple(len(path) for _, path in paths))


def _shared(first: Sequence[int], second: Sequence[int]) -> int:
    return next((n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second)))


def join(first: Packed, second: Packed) -> Packed:
    """Both side by side, row by row; :func:`moved` gives the new numbers of their nodes."""
    return Packed(
        torch.cat([first.tokens, second.tokens], 1),
        torch.cat([first.positions, second.positions], 1),
        torch.stack([torch.block_diag(one, other).bool() for one, other in zip(first.visible, second.visible, strict=True)]),
        torch.cat([moved(first.nodes, first, second, 0), moved(second.nodes, first, second, 1)]),
        first.lengths + second.lengths,
    )


def moved(nodes: Int[Tensor, " some"], first: Packed, second: Packed, which: int) -> Int[Tensor, " some"]:
    """The numbers that nodes of the first (``which`` is 0) or of the second have after :func:`join`."""
    widths = first.tokens.shape[1], second.tokens.shape[1]
    return nodes // widths[which] * sum(widths) + nodes % widths[which] + (widths[0] if which else 0)
