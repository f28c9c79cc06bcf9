"""Clean and corrupted runs of the same prompts, as residual streams entering the first layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.facts import Prompt
from mechlib.models.forward import Entry, TokenBatch, answer_hidden, enter, option_logits, token_batch
from mechlib.models.language_model import LanguageModel
from mechlib.models.tokens import option_tokens, subject_positions

Corruption = Literal["noise", "tokens"]
Position = Literal["subject first", "subject middle", "subject last", "after subject", "prompt end"]
POSITIONS: tuple[Position, ...] = ("subject first", "subject middle", "subject last", "after subject", "prompt end")


@dataclass(frozen=True)
class Pair:
    """The same texts in a clean and a corrupted run, differing only in the subject's embeddings.

    ``options`` are token ids, the true answer first; ``subject`` gives each text's first and last
    subject position within the suffix. ``corrupt(n)`` is the n-th corrupted run; ``corrupted`` is
    the first.
    """

    batch: TokenBatch
    clean: Entry
    corrupted: Entry
    options: Int[Tensor, "text option"]
    subject: Int[Tensor, "text 2"]
    corrupt: Callable[[int], Entry]

    def logit_difference(self, logits: Float[Tensor, "text option"]) -> Float[Tensor, " text"]:
        """Logit of the true answer minus the mean logit of the other options."""
        return logits[:, 0] - logits[:, 1:].mean(1)

    def lead(self, model: LanguageModel, entry: Entry, hooks: AbstractContextManager[Any] | None = None) -> Float[Tensor, " text"]:
        """Logit difference of each text in the run that starts at ``entry``."""
        return self.logit_difference(option_logits(model, answer_hidden(model, self.batch, entry, hooks), self.options))

    @property
    def positions(self) -> Int[Tensor, "text position"]:
        """Index into ``POSITIONS`` of every token of the suffix; -1 before the subject and for padding."""
        at = torch.arange(self.batch.suffix.shape[1], device=self.subject.device)[None]
        first, last, end = self.subject[:, :1], self.subject[:, 1:], self.batch.last[:, None]
        named = torch.full(self.batch.suffix.shape, -1, device=at.device)
        for index, where in enumerate((at == first, (at > first) & (at < last), at == last, (at > last) & (at < end), at == end)):
            named = named.masked_fill(where, index)
        return named

    def repeated(self, times: int) -> Pair:
        """Every text ``times`` times in a row, to patch something else in each copy."""

        def rows(tensor: Tensor) -> Tensor:
            return tensor.repeat_interleave(times, 0)

        def stream(entry: Entry) -> Entry:
            return replace(entry, suffix=rows(entry.suffix))

        batch = TokenBatch(self.batch.prefix, rows(self.batch.suffix), rows(self.batch.lengths))
        return Pair(
            batch, stream(self.clean), stream(self.corrupted), rows(self.options), rows(self.subject), lambda n: stream(self.corrupt(n))
        )


def make_pair(model: LanguageModel, prompts: Sequence[Prompt], corruption: Corruption, seed: int, noise: float = 3.0) -> Pair:
    """Corrupt the subject's last mention.

    ``noise``: Gaussian noise on its embeddings, ``noise`` times the standard deviation of the
    embeddings of these prompts (causal tracing, Meng et al. 2022; the paper's factor is 3).
    ``tokens``: random ordinary tokens in its place (the paper's attribution patching).
    """
    sequences = model.tokenizer([prompt.text for prompt in prompts]).input_ids
    spans = [subject_positions(model, prompt) for prompt in prompts]
    batch = token_batch(model, sequences, share_at_most=min(first for first, _ in spans))
    shared = len(batch.prefix)
    clean = enter(model, batch, 0)
    subject = torch.tensor([[first - shared, last - shared] for first, last in spans], device=model.device)
    at = torch.arange(batch.suffix.shape[1], device=model.device)
    inside = (at >= subject[:, :1]) & (at <= subject[:, 1:])
    real = clean.suffix[at < batch.lengths[:, None]]
    ordinary = torch.tensor(_ordinary_tokens(model)) if corruption == "tokens" else torch.empty(0)

    def corrupt(number: int) -> Entry:
        # Draws of one batch lie far apart, so that those of two batches (seed, seed + 16, ...) never meet.
        generator = torch.Generator().manual_seed(seed + 1_000_003 * number)
        if corruption == "noise":
            draw = torch.randn(clean.suffix.shape, generator=generator).to(clean.suffix) * (noise * real.std())
            return replace(clean, suffix=clean.suffix + draw * inside[..., None])
        drawn = ordinary[torch.randint(len(ordinary), batch.suffix.shape, generator=generator)].to(model.device)
        return enter(model, replace(batch, suffix=torch.where(inside, drawn, batch.suffix)), 0)

    tokens = torch.tensor([option_tokens(model, prompt) for prompt in prompts], device=model.device)
    return Pair(batch, clean, corrupt(0), tokens, subject, corrupt)


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
