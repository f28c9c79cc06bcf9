"""A network whose localized weights train while the model itself stays as it is."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mechlib import checks
from mechlib.components import Component, Localization, WeightSlice
from mechlib.edit.delta import Delta, EditError
from mechlib.errors import shown
from mechlib.models.language_model import LanguageModel
from mechlib.models.precision import Precision, cast_on_use, in_precision


@dataclass(frozen=True)
class Share:
    """The part of a step's prompts and texts that a process computes: number ``rank`` of ``of``, counted from 0."""

    rank: int = 0
    of: int = 1


@dataclass(frozen=True)
class Trainable:
    """``model`` runs on copies of the localized matrices; all its other weights are the original's.

    A localization can name part of a matrix (a head's rows). The rest of that matrix is put back
    after each optimizer step, so it stays bit-identical whatever the optimizer does to it.

    Here one process has everything. Where several have a part of each matrix (:mod:`mechlib.edit.sharded`), these say how parts
    and wholes become each other (``placed``, ``whole``, ``summed``) and what an optimizer sees (``own``).
    """

    model: LanguageModel
    original: LanguageModel
    blocks: tuple[WeightSlice, ...]
    first_layer: int
    share: Share = Share()

    def placed(self, whole: Shaped[Tensor, "row column"]) -> Shaped[Tensor, "row column"]:
        """What this process holds of a matrix."""
        return whole

    def whole(self, part: Shaped[Tensor, "*shape"]) -> Shaped[Tensor, "*shape"]:
        """Inverse of :meth:`placed`; of a number that several processes have, their one number."""
        return part

    def summed(self, losses: Mapping[str, Tensor], _names: Sequence[str]) -> dict[str, Tensor]:
        """The losses of all processes together, by these names."""
        return dict(losses)

    @property
    def weights(self) -> dict[str, nn.Parameter]:
        """The matrices that train, by name."""
        names = {block.parameter for block in self.blocks}
        return {name: parameter for name, parameter in self.model.parameters.items() if name in names}

    @cached_property
    def own(self) -> list[nn.Parameter]:
        """What this process's optimizer changes: plain matrices, in the memory of those that train."""
        return list(self.weights.values())

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Let an optimizer of ``own`` take one step."""
        optimizer.step()

    def clear_gradients(self) -> None:
        """Forget the gradients of all that trains."""
        for weight in self.weights.values():
            weight.grad = None

    @cached_property
    def _outside(self) -> dict[str, Tensor]:
        """For each matrix of which only a part trains, a mask of the rest."""
        masks: dict[str, Tensor] = {}
        whole = {block.parameter for block in self.blocks if block.rows is None and block.columns is None}
        for block in self.blocks:
            if block.parameter not in whole:
                if block.parameter not in masks:
                    masks[block.parameter] = torch.ones(block.shape, dtype=torch.bool, device=self.model.device)
                masks[block.parameter][block.index] = False
        return {name: self.placed(mask) for name, mask in masks.items()}

    @cached_property
    def _before(self) -> dict[str, Tensor]:
        """The matrices of which only a part trains, as they were."""
        originals = self.original.parameters
        return {name: self.placed(originals[name].detach()) for name in self._outside}

    def mask_gradients(self) -> None:
        """Zero the gradient outside the localized blocks, so that clipping and momentum never see it."""
        weights = self.weights
        for name, outside in self._outside.items():
            gradient = weights[name].grad
            if gradient is not None:
                gradient.masked_fill_(outside, 0.0)

    @torch.no_grad()
    def restore_outside(self) -> None:
        """Put back every weight outside the localized blocks."""
        weights, before = self.weights, self._before
        for name, outside in self._outside.items():
            weights[name].copy_(torch.where(outside, before[name], weights[name]))

    @contextmanager
    def originals_aside(self) -> Generator[None]:
        """Keep the originals of matrices that train whole in the computer's memory: an accelerator then holds only their masters."""
        aside = [self.original.parameters[name] for name in self.weights.keys() - self._outside.keys()]
        device = self.model.device
        for original in aside:
            original.data = original.data.cpu()
        try:
            yield
        finally:
            for original in aside:
                original.data = original.data.to(device)

    @contextmanager
    def checkpointed(self) -> Generator[None]:
        """Forward passes in this context keep only the input of each layer; the backward pass computes the rest again."""
        layers = list(self.model.layers[self.first_layer :])
        for layer in layers:
            vars(layer)["forward"] = partial(checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=False)
        try:
            yield
        finally:
            for layer in layers:
                del vars(layer)["forward"]

    def changes(self) -> Iterator[tuple[WeightSlice, Tensor]]:
        """What changed so far, block by block, in bfloat16 (half the size, 3 significant digits of each change)."""
        originals, blocks = self.original.parameters, dict[str, list[WeightSlice]]()
        for block in self.blocks:
            blocks.setdefault(block.parameter, []).append(block)
        for name, weight in self.weights.items():
            after = self.whole(weight.detach())
            for block in blocks[name]:
                before = originals[name].detach()[block.index].to(after.device).float()
                yield block, (after[block.index] - before).to(torch.bfloat16).cpu()

    def delta(self, **provenance: object) -> Delta:
        """All changes so far."""
        changes = dict(self.changes())
        return Delta({block: changes[block] for block in self.blocks}, provenance)


def trainable(model: LanguageModel, localization: Localization, precision: Precision) -> Trainable:
    """Copy the localized matrices in float32, and with ``bfloat16`` the frozen ones in that format.

    Masters, optimizer and residual stream keep float32. Raises :class:`EditError` for an empty localization, or none.
    """
    blocks = trained_blocks(model, localization)
    twin, originals = in_precision(model, precision), model.parameters
    for name in {block.parameter for block in blocks}:
        make_master(twin.module(name), originals[name], precision)
    return Trainable(twin, model, blocks, first_layer(localization))


def trained_blocks(model: LanguageModel, localization: Localization) -> tuple[WeightSlice, ...]:
    """What an edit trains, each block once; raises :class:`EditError` for an empty localization, or none."""
    if not checks.is_a(localization, Localization):
        raise EditError(f"{shown(localization)} is no localization: make one with localize, Localization.of or Localization.load")
    if not localization.components:
        raise EditError(f"localization '{localization.name}' is empty: nothing would be trained")
    return tuple(_distinct(localization.components, model))


def first_layer(localization: Localization) -> int:
    """The lowest layer that trains."""
    return min(component.layer for component in localization.components)


def make_master(module: Any, original: Tensor, precision: Precision) -> None:
    """Give a linear layer a weight of its own that trains: the original in float32, whatever its products are computed in."""
    module.weight = nn.Parameter(original.detach().float().clone(), requires_grad=True)
    if precision == "bfloat16":
        cast_on_use(module)


def _distinct(components: tuple[Component, ...], model: LanguageModel) -> Iterator[WeightSlice]:
    seen: set[WeightSlice] = set()
    for component in components:
        for block in component.weights(model.architecture):
            if block not in seen:
                seen.add(block)
                yield block
