"""The edit: localized weights learn other answers to the forget facts while everything else is held."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import torch

from mechlib.components import Localization
from mechlib.edit.delta import Delta, EditError
from mechlib.edit.losses import cross_entropy, next_token
from mechlib.edit.trainable import Trainable, trainable
from mechlib.facts import Prompt
from mechlib.models.forward import Entry, TokenBatch, answer_hidden, enter, token_batch, tokenize
from mechlib.models.language_model import LanguageModel
from mechlib.models.precision import Precision, computing
from mechlib.models.tokens import answer_token


@dataclass(frozen=True)
class EditConfig:
    """How an edit is trained. Defaults are the paper's where it has them (50 steps, clip 1, cosine)."""

    learning_rate: float = 1e-4
    forget_coefficient: float = 1.0
    retain_coefficient: float = 1.0
    text_coefficient: float = 1.0
    steps: int = 50
    retain_batch: int = 16
    text_batch: int = 2
    clip: float = 1.0
    weight_decay: float = 0.0
    precision: Precision = "bfloat16"
    seed: int = 0


@dataclass(frozen=True)
class Step:
    """Losses (nats) of one step before its update, and the gradient norm before clipping."""

    step: int
    forget: float
    retain: float
    text: float
    gradient_norm: float


@dataclass(frozen=True)
class _Batch:
    tokens: TokenBatch
    entry: Entry
    labels: torch.Tensor


def edit(
    model: LanguageModel,
    localization: Localization,
    forget: Sequence[Prompt],
    retain: Sequence[Prompt],
    texts: Sequence[Sequence[int]],
    config: EditConfig,
    report: Callable[[int, int], None] = lambda _done, _of: None,
) -> tuple[Delta, list[Step]]:
    """Sports-Athlete-Editing: c * injection + retain + general-text loss on the localized weights only.

    AdamW with a cosine schedule to zero. The model is unchanged afterwards: the :class:`Delta` is
    the edit. Raises :class:`EditError` if it changes nothing or diverges.
    """
    if any(prompt.target is None for prompt in forget):
        raise EditError("a fact of the forget set has no edit target")
    train = trainable(model, localization, config.precision)
    with torch.no_grad(), computing(model, config.precision):
        prompts = _prompt_batches(train, forget, retain, config)
        general = _text_batches(train, texts, config)
    weights = list(train.weights.values())
    optimizer = torch.optim.AdamW(weights, lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=config.steps)
    history: list[Step] = []
    for step in range(config.steps):
        batch, text = prompts[step % len(prompts)], general[step % len(general)]
        with computing(model, config.precision):
            losses = cross_entropy(train.model, answer_hidden(train.model, batch.tokens, batch.entry), batch.labels)
            forgotten, retained = losses[: len(forget)].mean(), losses[len(forget) :].mean()
        (config.forget_coefficient * forgotten + config.retain_coefficient * retained).backward()
        with computing(model, config.precision):
            likely = next_token(train.model, text.tokens, text.entry)
        (config.text_coefficient * likely).backward()
        train.mask_gradients()
        norm = torch.nn.utils.clip_grad_norm_(weights, config.clip).item()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        train.restore_outside()
        history.append(Step(step, forgotten.item(), retained.item(), likely.item(), norm))
        report(step + 1, config.steps)
    return train.delta(localization=localization.to_json(), config=asdict(config)), history


def _prompt_batches(train: Trainable, forget: Sequence[Prompt], retain: Sequence[Prompt], config: EditConfig) -> list[_Batch]:
    """All forget prompts with each slice of the shuffled retain prompts, kept at the first trained layer."""
    order = list(retain)
    random.Random(config.seed).shuffle(order)
    size = min(config.retain_batch, len(order))
    slices = [order[start : start + size] for start in range(0, len(order) - size + 1, size)][: config.steps]
    batches: list[_Batch] = []
    for part in slices:
        prompts = [*forget, *part]
        tokens = tokenize(train.model, [prompt.text for prompt in prompts])
        answers = [(prompt.target or "", prompt.open) for prompt in forget] + [(prompt.answer, prompt.open) for prompt in part]
        labels = torch.tensor([answer_token(train.model, word, first=is_open) for word, is_open in answers], device=train.model.device)
        batches.append(_Batch(tokens, enter(train.model, tokens, train.first_layer), labels))
    return batches


def _text_batches(train: Trainable, texts: Sequence[Sequence[int]], config: EditConfig) -> list[_Batch]:
    order = list(texts)
    random.Random(config.seed + 1).shuffle(order)
    size = min(config.text_batch, len(order))
    batches: list[_Batch] = []
    for start in range(0, len(order) - size + 1, size):
        tokens = token_batch(train.model, order[start : start + size], share_at_most=0)
        batches.append(_Batch(tokens, enter(train.model, tokens, train.first_layer), tokens.lengths))
    return batches[: config.steps]
