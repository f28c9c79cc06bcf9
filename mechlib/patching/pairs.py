"""Clean and corrupted runs of the same prompts, as residual streams entering the first layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.facts import Prompt
from mechlib.models.forward import Entry, TokenBatch, enter, token_batch
from mechlib.models.language_model import LanguageModel
from mechlib.models.tokens import answer_token, subject_positions

Corruption = Literal["noise", "tokens"]


@dataclass(frozen=True)
class Pair:
    """The same texts in a clean and a corrupted run, differing only in the subject's embeddings.

    ``options`` are token ids, the true answer first; ``subject`` gives each text's first and last
    subject position within the suffix.
    """

    batch: TokenBatch
    clean: Entry
    corrupted: Entry
    options: Int[Tensor, "text option"]
    subject: Int[Tensor, "text 2"]

    def logit_difference(self, logits: Float[Tensor, "text vocabulary"]) -> Float[Tensor, " text"]:
        """Logit of the true answer minus the mean logit of the other options."""
        chosen = logits.gather(1, self.options)
        return chosen[:, 0] - chosen[:, 1:].mean(1)

    def repeated(self, times: int) -> Pair:
        """Every text ``times`` times in a row, to patch something else in each copy."""

        def rows(tensor: Tensor) -> Tensor:
            return tensor.repeat_interleave(times, 0)

        return Pair(
            TokenBatch(self.batch.prefix, rows(self.batch.suffix), rows(self.batch.lengths)),
            replace(self.clean, suffix=rows(self.clean.suffix)),
            replace(self.corrupted, suffix=rows(self.corrupted.suffix)),
            rows(self.options),
            rows(self.subject),
        )


def make_pair(model: LanguageModel, prompts: Sequence[Prompt], corruption: Corruption, seed: int, noise: float = 3.0) -> Pair:
    """Corrupt the subject's last mention.

    ``noise``: Gaussian noise on its embeddings, ``noise`` times the standard deviation of the
    embeddings of these prompts (causal tracing, Meng et al. 2022; the paper's factor is 3).
    ``tokens``: random ordinary tokens in its place (the paper's attribution patching).
    """
    generator = torch.Generator().manual_seed(seed)
    sequences = model.tokenizer([prompt.text for prompt in prompts]).input_ids
    spans = [subject_positions(model, prompt) for prompt in prompts]
    batch = token_batch(model, sequences, share_at_most=min(first for first, _ in spans))
    shared = len(batch.prefix)
    clean = enter(model, batch, 0)
    subject = torch.tensor([[first - shared, last - shared] for first, last in spans], device=model.device)
    at = torch.arange(batch.suffix.shape[1], device=model.device)
    inside = (at >= subject[:, :1]) & (at <= subject[:, 1:])
    if corruption == "noise":
        real = clean.suffix[at < batch.lengths[:, None]]
        draw = torch.randn(clean.suffix.shape, generator=generator).to(clean.suffix) * (noise * real.std())
        corrupted = replace(clean, suffix=clean.suffix + draw * inside[..., None])
    else:
        ordinary = torch.tensor(_ordinary_tokens(model))
        drawn = ordinary[torch.randint(len(ordinary), batch.suffix.shape, generator=generator)].to(model.device)
        corrupted = enter(model, replace(batch, suffix=torch.where(inside, drawn, batch.suffix)), 0)
    options = [[p.answer, *(option for option in p.options if option != p.answer)] for p in prompts]
    tokens = torch.tensor([[answer_token(model, option) for option in row] for row in options], device=model.device)
    return Pair(batch, clean, corrupted, tokens, subject)


def _ordinary_tokens(model: LanguageModel, count: int = 2000) -> list[int]:
    """Tokens that are plain ASCII letters when decoded, from the front of the vocabulary."""
    chosen: list[int] = []
    for token in range(min(len(model.tokenizer), 50_000)):
        text = model.tokenizer.decode([token]).strip()
        if text.isascii() and text.isalpha():
            chosen.append(token)
        if len(chosen) == count:
            break
    return chosen
