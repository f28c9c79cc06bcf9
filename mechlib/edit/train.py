"""The edit: localized weights learn other answers to the forget facts, or lose them, while everything else is held."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mechlib import checks
from mechlib.components import Localization
from mechlib.edit.batches import Batch, joined, prompt_batches, text_batches
from mechlib.edit.config import WARM_UP, EditConfig
from mechlib.edit.delta import Delta, EditError
from mechlib.edit.trainable import Trainable, trainable
from mechlib.facts import Prompt
from mechlib.models.language_model import LanguageModel


@dataclass(frozen=True)
class Step:
    """Losses (nats) of one step before its update, and the gradient norm before clipping; the last step of an edit that stops early
    has no update.

    ``kl`` is that of the retain answers plus that of the texts, and ``None`` if it was not trained on.
    """

    step: int
    forget: float
    retain: float
    text: float
    gradient_norm: float
    kl: float | None = None


def edit(
    model: LanguageModel,
    localization: Localization,
    forget: Sequence[Prompt],
    retain: Sequence[Prompt],
    texts: Sequence[Sequence[int]],
    config: EditConfig,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> tuple[Delta, list[Step]]:
    """C * (injection or unlearning) + retain + general-text loss, and KL if wanted, on the localized weights only.

    AdamW. The model is unchanged afterwards: the :class:`Delta` is
    the edit. Raises :class:`EditError` if it changes nothing or diverges, if there is nothing to
    forget, to retain or no text, and for an injection without edit targets.
    """
    check_asked(forget, retain, texts, config)
    train = trainable(model, localization, config.arithmetic)
    history = learn(train, forget, retain, texts, config, progress)
    return train.delta(**provenance(localization, config)), history


def check_asked(forget: Sequence[Prompt], retain: Sequence[Prompt], texts: Sequence[Sequence[int]], config: EditConfig) -> None:
    """Raise :class:`EditError` for what no edit can be made of."""
    if not (forget and retain and texts):
        raise EditError(f"an edit needs facts to forget, to retain and texts: there are {len(forget)}, {len(retain)} and {len(texts)}")
    checks.kinds("forget", forget, Prompt)
    if config.loss == "injection" and any(prompt.target is None for prompt in forget):
        raise EditError("a fact of the forget set has no edit target")


def provenance(localization: Localization, config: EditConfig) -> dict[str, Any]:
    """What a delta says of the edit that made it."""
    return {"localization": localization.to_json(), "config": asdict(config)}


def learn(
    train: Trainable,
    forget: Sequence[Prompt],
    retain: Sequence[Prompt],
    texts: Sequence[Sequence[int]],
    config: EditConfig,
    progress: Callable[[int, int], None],
) -> list[Step]:
    """All steps of an edit, on the weights that train; raises :class:`EditError` if it diverges."""
    prompts = prompt_batches(train, forget, retain, config)
    general = text_batches(train, texts, config, prompts)
    weights = list(train.weights.values())
    optimizer = _optimizer(train.own, config)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(_rate, config))
    names = ("forget", "retain", "text", *(["kl"] if config.kl_coefficient else []))
    history: list[Step] = []
    with train.originals_aside():
        for step in range(config.steps):
            losses = train.summed(_backward(train, prompts[step % len(prompts)], general[step % len(general)], config), names)
            train.mask_gradients()
            losses["gradient_norm"] = train.whole(nn.utils.clip_grad_norm_(weights, config.clip))
            # All in one question: a device that is asked must be done before the processor can go on.
            told = dict(zip(losses, torch.stack(list(losses.values())).tolist(), strict=True))
            for name, value in told.items():
                if not math.isfinite(value):
                    raise EditError(f"the edit diverged: {name} is {value} in step {step}; lower LEARNING_RATE")
            history.append(Step(step, **told))
            if step and config.stop_at and told["forget"] <= -math.log(config.stop_at):
                break
            train.step(optimizer)
            schedule.step()
            train.clear_gradients()
            train.restore_outside()
            progress(step + 1, config.steps)
        train.clear_gradients()
    return history


def _rate(config: EditConfig, step: int) -> float:
    """The share of the learning rate that a step takes."""
    if config.schedule == "constant":
        return min(1.0, (step + 1) / WARM_UP)
    return (1 + math.cos(math.pi * step / config.steps)) / 2


def _backward(train: Trainable, prompts: Sequence[Batch], texts: Sequence[Batch], config: EditConfig) -> dict[str, Tensor]:
    """Add the gradient of all losses to the weights, all at once or a micro-batch at a time; the losses (nats)."""
    coefficients = {
        "forget": config.forget_coefficient,
        "retain": config.retain_coefficient,
        "text": config.text_coefficient,
        "kl": config.kl_coefficient,
    }
    losses: dict[str, Tensor] = {}
    for batch in (*prompts, *texts) if config.micro_batch else (joined(*prompts, *texts),):
        with train.checkpointed() if config.checkpointing else nullcontext():
            shares = batch.losses(train.model, config.loss)
        torch.stack([coefficients[name] * share for name, share in shares.items()]).sum().backward()
        for name, share in shares.items():
            losses[name] = losses[name] + share.detach() if name in losses else share.detach()
    return losses


def _optimizer(weights: list[nn.Parameter], config: EditConfig) -> Any:
    if config.optimizer == "adamw":
        # In place: the default needs another copy of all matrices on a GPU.
        return torch.optim.AdamW(weights, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)
    # Imported where it is wanted: it takes seconds and writes to the log.
    from bitsandbytes.optim.adamw import AdamW8bit

    return AdamW8bit(weights, lr=config.learning_rate, weight_decay=config.weight_decay)
