"""Fine-tuning of a model as an attacker or a harmless user does it, on a network of its own.

As in the paper's released code: LoRA on every linear layer of the decoder blocks, alpha 32, dropout
0.05, AdamW without weight decay or clipping, a cosine to zero, and a sum of mean losses with
coefficient 1 each. Adapters are never merged: the base weights are the model's own. A beginning that
prompts share is computed once, so they share its dropout too.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mechlib.edit.losses import cross_entropy
from mechlib.errors import MechlibError
from mechlib.facts import Prompt
from mechlib.models.forward import hidden_at
from mechlib.models.language_model import LanguageModel
from mechlib.models.packed import Packed, pack
from mechlib.models.precision import cast_on_use, cast_once, in_precision
from mechlib.models.tokens import encode, trained_tokens

# Prompts of one kind that a step sees at most (the authors' batch).
MOST_PROMPTS = 32

_Item = TypeVar("_Item")


class FineTuningError(MechlibError, ValueError):
    """A fine-tuning that cannot be done as asked, or that diverged; the message says what to do."""


@dataclass(frozen=True)
class FineTuning:
    """How to fine-tune: LoRA of ``rank``, or with rank 0 all weights of the decoder blocks; the learning rate falls to zero in ``steps``.

    Raises :class:`FineTuningError` for values that make no sense.
    """

    rank: int
    learning_rate: float
    steps: int
    alpha: int = 32
    dropout: float = 0.05

    def __post_init__(self) -> None:
        if self.rank < 0 or self.steps < 1 or not 0 <= self.learning_rate < math.inf or not 0 <= self.dropout < 1:
            raise FineTuningError(f"fine-tuning needs a rank and a learning rate of at least 0 and a step or more: {self}")

    def __str__(self) -> str:
        return f"{f'LoRA {self.rank}' if self.rank else 'full'}, {self.learning_rate:g}"


@dataclass(frozen=True)
class TrainingBatch:
    """What a step sees: prompts and texts, the nodes before the tokens that count, these tokens, and what each weighs in the loss."""

    packed: Packed
    nodes: Int[Tensor, " row"]
    labels: Int[Tensor, " row"]
    weights: Float[Tensor, " row"]

    def loss(self, model: LanguageModel) -> Float[Tensor, ""]:
        """The mean cross-entropy (nats) of each group's whole answers, and of the texts' tokens, all added up."""
        return self.weights @ cross_entropy(model, hidden_at(model, self.packed, self.nodes), self.labels)


def training_batches(
    model: LanguageModel, groups: Sequence[tuple[Sequence[Prompt], int]], texts: Sequence[Sequence[int]], text_batch: int, seed: int
) -> Iterator[TrainingBatch]:
    """Batches without end: so many prompts of each group and so many texts (token ids) a step, everything before anything twice.

    A group, or the texts, of which none is asked for is left out of the loss. Raises :class:`FineTuningError` if nothing is left.
    """
    wanted = [(prompts, size) for prompts, size in groups if prompts and size > 0]
    if not wanted and not (texts and text_batch > 0):
        raise FineTuningError("there is nothing to fine-tune on: no prompts and no texts")
    pools = [_turns(_with_answers(model, prompts), size, seed + 1 + number) for number, (prompts, size) in enumerate(wanted)]
    general = _turns(texts, text_batch, seed) if texts and text_batch > 0 else None
    while True:
        parts = [next(pool) for pool in pools]
        rows, some = [row for part in parts for row in part], next(general) if general else []
        packed = pack(model, [*(tokens for tokens, _ in rows), *some])
        lines = packed.paths[len(rows) :]
        ends = [path[-len(answer) :] for path, (_, answer) in zip(packed.paths, rows, strict=False)]
        answers = torch.tensor([token for _, answer in rows for token in answer], dtype=torch.long, device=model.device)
        read = [path[:-1] for path in lines]
        following = [packed.tokens.flatten()[path[1:]] for path in lines]
        shares = [1 / len(part) for part in parts for _, answer in part for _ in answer]
        shares += [1 / sum(map(len, read)) for path in read for _ in path]
        weights = torch.tensor(shares, dtype=torch.float32, device=model.device)
        yield TrainingBatch(packed, torch.cat([*ends, *read]), torch.cat([answers, *following]), weights)


def finetune(
    model: LanguageModel, batches: Iterator[TrainingBatch], how: FineTuning, checkpoints: Collection[int], seed: int
) -> Generator[tuple[int, LanguageModel]]:
    """Fine-tune another network around the model's weights: (steps done, the network in evaluation mode) at each checkpoint above 0.

    The model itself never changes, and it is read again in every step: an edit applied to it must
    stay applied. The seed decides the adapters' start and the dropout; the global generators are
    left as they were. Raises :class:`FineTuningError` for a checkpoint after the last step, and
    if the loss is no longer finite.
    """
    if max(checkpoints, default=0) > how.steps:
        raise FineTuningError(f"a checkpoint after the last of {how.steps} steps: {max(checkpoints)}")
    noise = random.Random(seed)
    with _generators(noise.getrandbits(63)):
        twin = _adapted(model, how) if how.rank else _copied(model)
    network: nn.Module = twin.network
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    # The dropout of adapters alone: a model's own (GPT-2 has some) is not what ``how`` says.
    dropped = [module for name, module in network.named_modules() if "lora_dropout" in name]
    optimizer = torch.optim.AdamW(weights, lr=how.learning_rate, weight_decay=0.0, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=how.steps)
    for step, batch in enumerate(islice(batches, how.steps), start=1):
        for module in dropped:
            module.train()
        with _generators(noise.getrandbits(63)), torch.enable_grad():
            loss = batch.loss(twin)
            loss.backward()
        if not math.isfinite(loss.item()):
            raise FineTuningError(f"fine-tuning diverged ({how}): the loss is {loss.item()} in step {step}; lower the learning rate")
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        network.eval()
        if step in checkpoints:
            yield step, twin


def _adapted(model: LanguageModel, how: FineTuning) -> LanguageModel:
    # Imported where it is wanted: it takes seconds. It imports bitsandbytes where that is installed, whose log then asks for
    # kernels that nothing here would use.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    from peft import LoraConfig, inject_adapter_in_model

    twin = cast_once(model)
    config = LoraConfig(r=how.rank, lora_alpha=how.alpha, lora_dropout=how.dropout, target_modules="all-linear")
    with model.device:  # large adapters take longer to draw on the processor than to train
        inject_adapter_in_model(config, twin.network)
    for weight in twin.network.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()  # whatever the model is stored in: steps are smaller than bfloat16 can tell
    return twin


def _copied(model: LanguageModel) -> LanguageModel:
    """Masters in float32, whatever the products are computed in."""
    twin = replace(in_precision(model, "float32"), arithmetic=model.arithmetic)
    for module in twin.layers.modules():
        for name, weight in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(weight.detach().clone()))
        if twin.arithmetic == "bfloat16" and isinstance(module, nn.Linear):
            cast_on_use(module)
    return twin


@contextmanager
def _generators(seed: int) -> Generator[None]:
    """Start the global generators at a seed, and put them back."""
    with torch.random.fork_rng(devices=range(torch.accelerator.device_count())):
        torch.manual_seed(seed)
        yield


def _with_answers(model: LanguageModel, prompts: Sequence[Prompt]) -> list[tuple[list[int], list[int]]]:
    """Each prompt's tokens with all but the last of its answer's behind them, and the answer's tokens."""
    tokens, answers = encode(model, [prompt.text for prompt in prompts]), [trained_tokens(model, one, one.answer) for one in prompts]
    return [([*row, *answer[:-1]], answer) for row, answer in zip(tokens, answers, strict=True)]


def _turns(items: Sequence[_Item], size: int, seed: int) -> Iterator[list[_Item]]:
    """All items every time, or if there are more than ``size``, so many in turn of one order after the other."""
    generator, waiting = random.Random(seed), list[_Item]()
    while True:
        if len(items) <= size:
            yield list(items)
            continue
        while len(waiting) < size:
            waiting += generator.sample(list(items), len(items))
        yield waiting[:size]
        del waiting[:size]
