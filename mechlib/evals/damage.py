"""Side effects of an edit on text that has nothing to do with the facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from mechlib.edit.delta import Delta
from mechlib.models.forward import hidden_states, token_batch, unembed
from mechlib.models.language_model import LanguageModel


@dataclass(frozen=True)
class Damage:
    """One text: mean next-token loss before and after the edit, and mean KL(before || after), in nats per token."""

    source: str
    text: int
    tokens: int
    loss_before: float
    loss_after: float
    divergence: float


@torch.no_grad()
def damage(model: LanguageModel, delta: Delta, texts: Mapping[str, Sequence[Sequence[int]]]) -> list[Damage]:
    """Compare the edited with the unedited model on every text of every source."""
    rows: list[Damage] = []
    for source, sequences in texts.items():
        batch = token_batch(model, sequences, share_at_most=0)
        before = hidden_states(model, batch)
        with delta.applied(model):
            after = hidden_states(model, batch)
        for number, length in enumerate(batch.lengths.tolist()):
            # Logits of one text at a time: two tensors of vocabulary size are the memory this takes.
            old = unembed(model, before[number, : length - 1]).log_softmax(-1)
            new = unembed(model, after[number, : length - 1]).log_softmax(-1)
            following = batch.suffix[number, 1:length, None]
            rows.append(
                Damage(
                    source=source,
                    text=number,
                    tokens=length - 1,
                    loss_before=-old.gather(1, following).mean().item(),
                    loss_after=-new.gather(1, following).mean().item(),
                    divergence=(old.exp() * (old - new)).sum(-1).mean().item(),
                )
            )
    return rows
