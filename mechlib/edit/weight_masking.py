"""Weight masking (the paper's parameter-efficiency study): which few weights, set to zero, make a model forget?

A mask in [0, 1] multiplies each localized weight and is trained; then the weights with the smallest
masks are zeroed and all others are what they were. Sizes are swept without training again.

Source: the paper's weight-masking study and the branch ``weight-masking`` of its code. That code
trains the weights themselves, clamped between zero and their original value, so that a mask moves
with gradient / weight and weights that are nearly zero, which do nothing, reach zero first. Here it
moves with gradient * weight. That code also leaves out the gates of MLPs; here they are masked too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mechlib import checks
from mechlib.components import Localization, WeightSlice
from mechlib.edit.batches import joined, prompt_batches, text_batches
from mechlib.edit.config import EditConfig, Loss
from mechlib.edit.delta import Delta, EditError
from mechlib.edit.trainable import trainable
from mechlib.facts import Prompt
from mechlib.models.language_model import LanguageModel
from mechlib.models.precision import Precision

# What a stored mask is called.
FILE = "mask.safetensors"


@dataclass(frozen=True)
class MaskConfig:
    """How a mask is trained: 50 steps of SGD with momentum and a cosine schedule to zero, as in the paper.

    ``learning_rate`` and ``penalty`` (the coefficient of the L1 term) are in units of the root mean
    square of the masks' gradients in the first step, and so do not depend on the model's size: in
    that step a mask with such a gradient moves by ``learning_rate * (1 - penalty)``.

    The L1 term is the sum of 1 - mask: it pushes masks that the task does not need back to 1. The
    released code adds the sum of the weights' magnitudes, which pushes every mask towards 0, needed
    or not, and hides which are; its last version has turned the sign, with the effect wanted here.

    Defaults did best in a small grid on two tiny random models. Adam moves every mask at one pace,
    whatever its gradient, and had to zero several times as many weights for the same loss.
    ``loss`` is that of an edit. Raises :class:`EditError` for a negative penalty, and :class:`mechlib.checks.ParameterError` as
    :class:`EditConfig` does.
    """

    learning_rate: float = 3e-3
    penalty: float = 0.3
    momentum: float = 0.9
    forget_coefficient: float = 1.0
    retain_coefficient: float = 1.0
    text_coefficient: float = 1.0
    steps: int = 50
    retain_batch: int = 16
    text_batch: int = 2
    precision: Precision | None = None
    seed: int = 0
    loss: Loss = "injection"

    def __post_init__(self) -> None:
        if self.penalty < 0:
            raise EditError(f"the penalty is {self.penalty}: below 0 it would push masks down that no loss asks for")
        checks.positive("learning_rate", self.learning_rate)
        checks.probability("momentum", self.momentum)
        _ = self.batches  # checked as those of an edit

    @property
    def batches(self) -> EditConfig:
        """These settings as those of an edit, from which its batches are made."""
        return EditConfig(
            steps=self.steps, forget_coefficient=self.forget_coefficient, retain_coefficient=self.retain_coefficient,
            text_coefficient=self.text_coefficient, retain_batch=self.retain_batch,
            text_batch=self.text_batch, seed=self.seed, loss=self.loss,
            precision=self.precision,
        )  # fmt: skip


@dataclass(frozen=True)
class MaskStep:
    """Losses (nats) of one step before its update, the norm of their gradient, and how many masks are below 1."""

    step: int
    forget: float
    retain: float
    text: float
    gradient_norm: float
    masked: int


@dataclass(frozen=True, eq=False)
class Mask:
    """One value in [0, 1] for each localized weight: block after block, each row by row. ``provenance`` says what made it."""

    blocks: tuple[WeightSlice, ...]
    values: Float[Tensor, " weight"]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.values) != sum(block.size for block in self.blocks) or not bool(((self.values >= 0) & (self.values <= 1)).all()):
            raise EditError("a mask needs one value between 0 and 1 for each weight")

    @property
    def masked(self) -> int:
        """How many weights have a mask below 1: the most that can be zeroed."""
        return int((self.values < 1).sum())

    def save(self, path: Path) -> None:
        """Write as safetensors, 8 bytes for each mask below 1 and none for the others."""
        places = (self.values < 1).nonzero()[:, 0]
        # Distances fit into 32 bits in models that have more weights than 32 bits can count.
        tensors = {"distances": places.diff(prepend=places.new_zeros(1)).int(), "values": self.values[places]}
        header = {"blocks": json.dumps([asdict(block) for block in self.blocks]), "provenance": json.dumps(dict(self.provenance))}
        try:
            save_file(tensors, path, metadata=header)
        except SafetensorError as error:
            raise EditError(f"{path} cannot be written: {error}") from None

    @classmethod
    def load(cls, path: Path) -> Mask:
        """Read a saved mask; raises :class:`EditError` if the file is damaged or none."""
        try:
            with safe_open(path, framework="pt") as file:
                header: dict[str, str] = file.metadata() or {}
                blocks = tuple(_block(place) for place in json.loads(header["blocks"]))
                values = torch.ones(sum(block.size for block in blocks))
                values[file.get_tensor("distances").cumsum(0)] = file.get_tensor("values")
                return cls(blocks, values, json.loads(header["provenance"]))
        except (OSError, SafetensorError, LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise EditError(f"{path} is no mask or is damaged: {error}") from None


def _block(place: Mapping[str, Any]) -> WeightSlice:
    return WeightSlice(
        place["parameter"],
        (place["shape"][0], place["shape"][1]),
        rows=tuple(place["rows"]) if place["rows"] else None,
        columns=tuple(place["columns"]) if place["columns"] else None,
    )


def train_mask(
    model: LanguageModel,
    localization: Localization,
    forget: Sequence[Prompt],
    retain: Sequence[Prompt],
    texts: Sequence[Sequence[int]],
    config: MaskConfig,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> tuple[Mask, list[MaskStep]]:
    """Train a mask of the localized weights: c * forget + retain + general-text loss + L1, clamped to [0, 1] after each step.

    Masks start at 1. The model is unchanged afterwards. Raises :class:`EditError` if there is nothing
    to forget, to retain or no text, for an injection without edit targets, if training diverges, and
    if every mask stays at 1.
    """
    if not (forget and retain and texts):
        raise EditError(f"a mask needs facts to forget, to retain and texts: there are {len(forget)}, {len(retain)} and {len(texts)}")
    checks.kinds("forget", forget, Prompt)
    if config.loss == "injection" and any(prompt.target is None for prompt in forget):
        raise EditError("a fact of the forget set has no edit target")
    train = trainable(model, localization, config.batches.arithmetic)
    prompts = prompt_batches(train, forget, retain, config.batches)
    general = text_batches(train, texts, config.batches, prompts)
    coefficients = {"forget": config.forget_coefficient, "retain": config.retain_coefficient, "text": config.text_coefficient}
    weights, count, scale = train.weights, sum(block.size for block in train.blocks), 0.0
    originals = {name: weight.detach().clone() for name, weight in weights.items()}
    masks = {name: torch.ones_like(original, requires_grad=True) for name, original in originals.items()}
    optimizer = torch.optim.SGD(masks.values(), lr=config.learning_rate, momentum=config.momentum)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=config.steps)
    history: list[MaskStep] = []
    for step in range(config.steps):
        parts = joined(*prompts[step % len(prompts)], *general[step % len(general)]).losses(train.model, config.loss)
        torch.stack([coefficients[name] * loss for name, loss in parts.items()]).sum().backward()
        losses = {name: loss.item() for name, loss in parts.items()}
        train.mask_gradients()
        for name, mask in masks.items():
            # The chain rule: the weight is original * mask.
            mask.grad, weights[name].grad = _gradient(weights[name]) * originals[name], None
        norm = math.hypot(*(torch.linalg.vector_norm(_gradient(mask)).item() for mask in masks.values()))
        scale = scale or norm / math.sqrt(count)
        if not scale or not math.isfinite(norm):
            raise EditError(f"the mask cannot be trained: the norm of its gradient is {norm} in step {step}")
        history.append(MaskStep(step, **losses, gradient_norm=norm, masked=sum(int((mask < 1).sum()) for mask in masks.values())))
        for mask in masks.values():
            _gradient(mask).div_(scale).sub_(config.penalty)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            for name, mask in masks.items():
                weights[name].copy_(originals[name] * mask.clamp_(0, 1))
        progress(step + 1, config.steps)
    values = torch.cat([masks[block.parameter].detach()[block.index].flatten() for block in train.blocks]).cpu()
    found = Mask(train.blocks, values, {"localization": localization.to_json(), "config": asdict(config)})
    if not found.masked:
        raise EditError("every mask stayed at 1: raise LEARNING_RATE or STEPS, or lower PENALTY")
    return found, history


def discretized(model: LanguageModel, mask: Mask, size: int) -> Delta:
    """The edit that sets the ``size`` weights with the smallest masks to exactly zero and leaves the others bit-identical.

    Only masks below 1 count, so fewer are zeroed where there are fewer. Of equal masks (many are 0)
    the one of the larger weight comes first, then the earlier one. ``model`` is the unedited model
    that the mask was trained for. Raises :class:`EditError` for another one or if nothing is zeroed.
    """
    if size < 1:
        raise EditError(f"zeroing {size} weights is no edit")
    parameters = model.parameters
    for block in mask.blocks:
        if block.parameter not in parameters or tuple(parameters[block.parameter].shape) != block.shape:
            raise EditError(f"the mask was made for another model: {model.name} has no {block.parameter} of shape {block.shape}")
    originals = [parameters[block.parameter].detach()[block.index].float().cpu() for block in mask.blocks]
    weights = torch.cat([original.flatten() for original in originals])
    places = (mask.values < 1).nonzero()[:, 0]
    places = places[weights[places].abs().argsort(descending=True, stable=True)]
    places = places[mask.values[places].argsort(stable=True)][:size]
    # Adding -0 leaves every number as it is, adding +0 would turn -0 into +0.
    changes = torch.full_like(weights, -0.0)
    changes[places] = -weights[places]
    parts = changes.split([block.size for block in mask.blocks])
    blocks = {block: part.view_as(original) for block, part, original in zip(mask.blocks, parts, originals, strict=True)}
    return Delta(blocks, {**mask.provenance, "size": size, "zeroed": len(places)})


def _gradient(tensor: Tensor) -> Tensor:
    return torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
