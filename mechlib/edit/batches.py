"""What each step of an edit sees, and its losses. Nothing below the first trained layer is computed twice.

Rows of a batch can be computed a few at a time: each loss is then given as the share that these
rows have in the mean over the whole batch, so shares, and their gradients, add up to it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from mechlib.edit.config import EditConfig, Loss
from mechlib.edit.losses import cross_entropy, divergence, next_tokens, unlearning
from mechlib.edit.trainable import Trainable
from mechlib.facts import Prompt
from mechlib.models.forward import Entry, TokenBatch, answer_hidden, enter, token_batch
from mechlib.models.language_model import LanguageModel
from mechlib.models.tokens import answer_token

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class PromptBatch:
    """Forget prompts, then retain prompts. ``reference``: the unedited model's final hidden states before the answers."""

    tokens: TokenBatch
    entry: Entry
    labels: Tensor
    n_forget: int
    loss: Loss
    reference: Tensor | None

    def __len__(self) -> int:
        return len(self.tokens)

    def losses(self, model: LanguageModel, rows: slice) -> dict[str, Tensor]:
        """The rows' shares of the means (nats): ``forget``, ``retain``, and with a reference ``kl``."""
        hidden, labels = answer_hidden(model, self.tokens[rows], self.entry[rows]), self.labels[rows]
        n, n_retain = max(0, self.n_forget - rows.start), len(self) - self.n_forget
        if self.loss == "injection":
            losses = cross_entropy(model, hidden, labels)
        else:
            losses = torch.cat([unlearning(model, hidden[:n], labels[:n]), cross_entropy(model, hidden[n:], labels[n:])])
        shares = {"forget": losses[:n].sum() / self.n_forget, "retain": losses[n:].sum() / n_retain}
        if self.reference is not None:
            shares["kl"] = divergence(model, hidden[n:], self.reference[rows][n:]).sum() / n_retain
        return shares


@dataclass(frozen=True)
class TextBatch:
    """General text. ``reference``: the unedited model's final hidden states before each text's tokens."""

    tokens: TokenBatch
    entry: Entry
    reference: Sequence[Tensor] | None

    def __len__(self) -> int:
        return len(self.tokens)

    def losses(self, model: LanguageModel, rows: slice) -> dict[str, Tensor]:
        """The rows' shares of the means over positions (nats): ``text``, and with a reference ``kl``."""
        hidden, labels = next_tokens(model, self.tokens[rows], self.entry[rows])
        positions = self.tokens.last.sum()
        shares = {"text": cross_entropy(model, hidden, labels).sum() / positions}
        if self.reference is not None:
            shares["kl"] = divergence(model, hidden, torch.cat(list(self.reference[rows]))).sum() / positions
        return shares


@torch.no_grad()
def prompt_batches(train: Trainable, forget: Sequence[Prompt], retain: Sequence[Prompt], config: EditConfig) -> list[PromptBatch]:
    """The forget prompts (all, or some in turn) with each slice of the shuffled retain prompts, to be gone through again and again."""
    slices, order = _shuffled_slices(retain, config.retain_batch, config.seed), list(forget)
    size = min(config.forget_batch or len(order), len(order))
    if size < len(order):
        random.Random(config.seed + 2).shuffle(order)
    turns = math.lcm(len(slices), len(order) // math.gcd(size, len(order)))
    batches: list[PromptBatch] = []
    for turn in range(min(turns, config.steps)):
        part = [order[place % len(order)] for place in range(turn * size, (turn + 1) * size)]
        batches.append(_prompt_batch(train, part, slices[turn % len(slices)], config))
    return batches


def _prompt_batch(train: Trainable, forget: Sequence[Prompt], retain: Sequence[Prompt], config: EditConfig) -> PromptBatch:
    model, prompts = train.model, [*forget, *retain]
    # A layer that computes again would write to the shared prefix's cache again.
    tokens = token_batch(model, model.tokenizer([prompt.text for prompt in prompts]).input_ids, 0 if config.checkpointing else None)
    words = [(prompt.target or "") if config.loss == "injection" else prompt.answer for prompt in forget]
    words += [prompt.answer for prompt in retain]
    firsts = [answer_token(model, word, first=prompt.open) for word, prompt in zip(words, prompts, strict=True)]
    entry = enter(model, tokens, train.first_layer)
    reference = answer_hidden(model, tokens, entry) if config.kl_coefficient else None
    return PromptBatch(tokens, entry, torch.tensor(firsts, device=model.device), len(forget), config.loss, reference)


@torch.no_grad()
def text_batches(train: Trainable, texts: Sequence[Sequence[int]], config: EditConfig) -> list[TextBatch]:
    """Each slice of the shuffled texts (token ids), to be gone through again and again."""
    batches: list[TextBatch] = []
    for part in _shuffled_slices(texts, config.text_batch, config.seed + 1)[: config.steps]:
        tokens = token_batch(train.model, part, share_at_most=0)
        entry = enter(train.model, tokens, train.first_layer)
        reference = None
        if config.kl_coefficient:
            reference = next_tokens(train.model, tokens, entry)[0].split(tokens.last.tolist())
        batches.append(TextBatch(tokens, entry, reference))
    return batches


def _shuffled_slices(items: Sequence[_Item], size: int, seed: int) -> list[list[_Item]]:
    """Slices of one length; what is left over is left out."""
    order = list(items)
    random.Random(seed).shuffle(order)
    size = min(size, len(order))
    return [order[start : start + size] for start in range(0, len(order) - size + 1, size)]
