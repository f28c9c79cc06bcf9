"""What each step of an edit sees, and its losses. Nothing below the first trained layer is computed twice, and a
beginning that prompts share only once a step.

A batch can be a part of a step. Each of its losses is then a share of the mean over the whole step, so the
losses of all parts, and their gradients, add up to that mean. Parts can be computed one after the other, or by several processes.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib import checks
from mechlib.edit.config import EditConfig, Loss
from mechlib.edit.losses import cross_entropy, divergence, unlearning
from mechlib.edit.trainable import Share, Trainable
from mechlib.facts import Prompt
from mechlib.models.forward import Entry, enter, hidden_at
from mechlib.models.language_model import LanguageModel
from mechlib.models.packed import Packed, join, moved, pack
from mechlib.models.tokens import check_texts, encode, trained_tokens

_Item = TypeVar("_Item")
# How many facts there are, to be forgotten or not, of prompts that do not count.
_NOTHING = {True: math.inf, False: math.inf}


@dataclass(frozen=True)
class LossTokens:
    """The tokens of one loss: the nodes before them, and the number ``of`` facts, or of tokens of texts, that its mean over a step is of;
    infinite where they do not count.

    ``reference``: the unedited model's final hidden states at those nodes, where it is to be held to them.
    """

    loss: Literal["forget", "retain", "text"]
    nodes: Int[Tensor, " row"]
    labels: Int[Tensor, " row"]
    of: float
    reference: Float[Tensor, "row d_model"] | None = None


@dataclass(frozen=True)
class Batch:
    """Prompts or texts packed together, the residual stream that enters the first trained layer, and what is read of them.

    ``distinct``: the nodes of all parts, each once.
    """

    packed: Packed
    entry: Entry
    parts: tuple[LossTokens, ...]
    distinct: Int[Tensor, " node"]

    def losses(self, model: LanguageModel, loss: Loss) -> dict[str, Tensor]:
        """Shares of the means (nats) by loss: ``forget``, ``retain`` and ``text`` where present, and ``kl`` where there are references."""
        rows = [part for part in self.parts if len(part.nodes)]
        hidden = hidden_at(model, self.packed, torch.cat([part.nodes for part in rows]), self.entry, distinct=self.distinct)
        found = list(zip(rows, hidden.split([len(part.nodes) for part in rows]), strict=True))
        # Rows to forget come first.
        n = int(loss == "unlearning" and rows[0].loss == "forget")
        shares = {part.loss: unlearning(model, before, part.labels).sum() / part.of for part, before in found[:n]}
        if found[n:]:
            # The unembedding is most of a small model's weights: it is read once for all rows.
            told, states = zip(*found[n:], strict=True)
            losses = cross_entropy(model, torch.cat(states), torch.cat([part.labels for part in told]))
            own = losses.split([len(part.nodes) for part in told])
            shares |= {part.loss: some.sum() / part.of for part, some in zip(told, own, strict=True)}
        kept = [divergence(model, before, part.reference).sum() / part.of for part, before in found if part.reference is not None]
        return shares | ({"kl": torch.stack(kept).sum()} if kept else {})


def joined(first: Batch, second: Batch) -> Batch:
    """Both batches as one."""
    rows = [(part, which) for which, batch in enumerate((first, second)) for part in batch.parts]
    joint = tuple(replace(part, nodes=moved(part.nodes, first.packed, second.packed, which)) for part, which in rows)
    entry = Entry(first.entry.layer, torch.cat([first.entry.stream, second.entry.stream], 1))
    distinct = [moved(batch.distinct, first.packed, second.packed, which) for which, batch in enumerate((first, second))]
    return Batch(join(first.packed, second.packed), entry, joint, torch.cat(distinct))


@torch.no_grad()
def prompt_batches(train: Trainable, forget: Sequence[Prompt], retain: Sequence[Prompt], config: EditConfig) -> list[list[Batch]]:
    """The batches of each step; training goes through the steps again and again.

    A step has the forget prompts (all, or ``forget_batch`` of them in turn) and one slice of the shuffled
    retain prompts, divided into parts of ``micro_batch`` prompts. Raises :class:`mechlib.checks.ParameterError` for what is no prompt.
    """
    checks.kinds("forget", forget, Prompt)
    checks.kinds("retain", retain, Prompt)
    slices, order = _shuffled_slices(retain, config.retain_batch, config.seed), list(forget)
    size = min(config.forget_batch or len(order), len(order))
    if size < len(order):
        random.Random(config.seed + 2).shuffle(order)
    turns = math.lcm(len(slices), len(order) // math.gcd(size, len(order)))
    steps: list[list[Batch]] = []
    for turn in range(min(turns, config.steps)):
        lost = [order[place % len(order)] for place in range(turn * size, (turn + 1) * size)]
        held = slices[turn % len(slices)]
        labelled = [(prompt, prompt.target or "", True) if config.loss == "injection" else (prompt, prompt.answer, True) for prompt in lost]
        labelled += [(prompt, prompt.answer, False) for prompt in held]
        counts = {True: len(lost), False: len(held)}
        rows = len(steps[0][0].packed.tokens) if steps and not config.micro_batch else None
        parts = _parts(labelled, config.micro_batch, train.share)
        steps.append([_prompts(train, part, counts if count else _NOTHING, config, rows) for part, count in parts])
    return steps


def _prompts(
    train: Trainable, asked: Sequence[tuple[Prompt, str, bool]], counts: Mapping[bool, float], config: EditConfig, rows: int | None
) -> Batch:
    """Whole answers: the loss of a fact is that of all of its answer's tokens together. An answer whose first token is not said is
    not said, so unlearning takes no more.
    """
    model = train.model
    words = [trained_tokens(model, prompt, word)[: 1 if lost and config.loss == "unlearning" else None] for prompt, word, lost in asked]
    starts = encode(model, [prompt.text for prompt, _, _ in asked])
    packed = pack(model, [[*start, *word[:-1]] for start, word in zip(starts, words, strict=True)], rows)
    nodes = torch.cat([path[-len(word) :] for path, word in zip(packed.paths, words, strict=True)])
    labels = torch.tensor([token for word in words for token in word], device=model.device)
    forget = torch.tensor([lost for (_, _, lost), word in zip(asked, words, strict=True) for _ in word], device=model.device)
    lost = LossTokens("forget", nodes[forget], labels[forget], counts[True])
    held = LossTokens("retain", nodes[~forget], labels[~forget], counts[False])
    return _entered(train, packed, (lost, held), config)


@torch.no_grad()
def text_batches(
    train: Trainable, texts: Sequence[Sequence[int]], config: EditConfig, prompts: Sequence[Sequence[Batch]]
) -> list[list[Batch]]:
    """The batches of each step: one slice of the shuffled texts (token ids, at least 2 each), divided as the prompts are."""
    check_texts(texts)
    rows = None if config.micro_batch else len(prompts[0][0].packed.tokens)
    steps: list[list[Batch]] = []
    for some in _shuffled_slices(texts, config.text_batch, config.seed + 1)[: config.steps]:
        total = sum(len(text) - 1 for text in some)
        parts = _parts(some, config.micro_batch, train.share)
        steps.append([_texts(train, part, total if count else math.inf, config, rows) for part, count in parts])
    return steps


def _texts(train: Trainable, texts: Sequence[Sequence[int]], count: float, config: EditConfig, rows: int | None) -> Batch:
    packed = pack(train.model, texts, rows)
    nodes, labels = (torch.cat([path[part] for path in packed.paths]) for part in (slice(None, -1), slice(1, None)))
    return _entered(train, packed, (LossTokens("text", nodes, packed.tokens.flatten()[labels], count),), config)


def _entered(train: Trainable, packed: Packed, rows: tuple[LossTokens, ...], config: EditConfig) -> Batch:
    entry = enter(train.model, packed, train.first_layer)
    if config.kl_coefficient:
        rows = tuple(
            part if part.loss == "forget" else
            replace(part, reference=hidden_at(train.model, packed, part.nodes, entry)) for part in rows
        )  # fmt: skip
    return Batch(packed, entry, rows, torch.cat([part.nodes for part in rows]).unique())


def _parts(items: Sequence[_Item], size: int | None, share: Share) -> list[tuple[Sequence[_Item], bool]]:
    """A process's share of a step in parts of ``size``, and whether each counts.

    All processes have as many: they compute together, so who has fewer items does one again that does not count.
    """
    own, most = items[share.rank :: share.of], -(-len(items) // share.of)
    size = size or most
    parts = [(own[start : start + size], True) for start in range(0, len(own), size)]
    return [*parts, *[(items[:1], False)] * (-(-most // size) - len(parts))]


def _shuffled_slices(items: Sequence[_Item], size: int, seed: int) -> list[list[_Item]]:
    """Slices of one length; what is left over is left out."""
    order = list(items)
    random.Random(seed).shuffle(order)
    size = min(size, len(order))
    return [order[start : start + size] for start in range(0, len(order) - size + 1, size)]
