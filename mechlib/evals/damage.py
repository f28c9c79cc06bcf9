"""Side effects of an edit on text that has nothing to do with the facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from mechlib.edit.delta import Delta
from mechlib.edit.losses import next_tokens
from mechlib.models.forward import unembed
from mechlib.models.language_model import LanguageModel
from mechlib.models.packed import pack
from mechlib.models.tokens import check_texts


@dataclass(frozen=True)
class Damage:
    """One text: mean next-token loss before and after the edit, and mean KL(before || after), in nats per token."""

    source: str
    text: int
    tokens: int
    loss_before: float
    loss_after: float
    divergence: float


# Texts at a time: two tensors of vocabulary size at each of their tokens are the memory this takes.
_BATCH = 8


@torch.no_grad()
def damage(model: LanguageModel, delta: Delta, texts: Mapping[str, Sequence[Sequence[int]]]) -> list[Damage]:
    """Compare the edited with the unedited model on every text of every source.

    Raises :class:`mechlib.facts.FactError` for a text without two tokens, and :class:`EditError` if the delta is of another model.
    """
    for some in texts.values():
        check_texts(some)
    edited = delta.edited(model)
    return [
        row
        for source, sequences in texts.items()
        for start in range(0, len(sequences), _BATCH)
        for row in _compared(model, edited, source, start, sequences[start : start + _BATCH])
    ]


def _compared(
    model: LanguageModel, edited: LanguageModel, source: str, start: int, texts: Sequence[Sequence[int]]
) -> Iterator[Damage]:
    packed, counts = pack(model, texts), [len(text) - 1 for text in texts]
    before, following = next_tokens(model, packed)
    after, _ = next_tokens(edited, packed)
    old, new = unembed(model, before).log_softmax(-1), unembed(model, after).log_softmax(-1)
    losses = [-values.gather(1, following[:, None])[:, 0] for values in (old, new)]
    divergences = (old.exp() * (old - new)).sum(-1)
    for number, values in enumerate(zip(*(each.split(counts) for each in (*losses, divergences)), strict=True), start):
        loss_before, loss_after, divergence = (value.mean().item() for value in values)
        yield Damage(source, number, len(values[0]), loss_before, loss_after, divergence)
