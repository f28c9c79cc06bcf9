"""Controls: localizations that know nothing about facts."""

from __future__ import annotations

import random
from collections.abc import Sequence

from mechlib.components import Architecture, Component, ComponentError, modules
from mechlib.localize.budget import fill_budget


def shuffled_mlps(arch: Architecture, seed: int) -> list[Component]:
    """All MLPs in a random order."""
    return _shuffled(modules(arch, ["mlp"]), seed)


def shuffled_modules(arch: Architecture, seed: int) -> list[Component]:
    """All attention layers and MLPs in a random order. The paper draws single matrices, and never a gate."""
    return _shuffled(modules(arch), seed)


def spaced_mlps(arch: Architecture, budget: int, number: int, of: int) -> tuple[Component, ...]:
    """MLPs of neighbouring layers, at least ``budget`` weights: the ``number``-th of ``of`` (at least 2) windows, counted from 0.

    The first starts at the first layer, the last ends at the last one, the others lie between at equal distances (rounded to layers).
    Raises :class:`mechlib.components.ComponentError` as :func:`fill_budget` does.
    """
    return _window(arch, len(fill_budget(modules(arch, ["mlp"]), budget, arch)), number, of)


def next_to(arch: Architecture, found: Sequence[Component], step: int) -> list[Component]:
    """An MLP for each of those that were ``found``, and none of them: the nearest that is free before it (``step`` -1), or after it (1).

    Raises :class:`ComponentError` where the model has no layer left on that side.
    """
    free, taken = {one.layer: one for one in modules(arch, ["mlp"]) if one not in found}, list[Component]()
    for layer in sorted((one.layer for one in found), reverse=step > 0):
        side = range(layer + step, -1 if step < 0 else arch.n_layers, step)
        if (nearest := next((one for one in side if one in free), None)) is None:
            raise ComponentError(f"no MLP is left {'before' if step < 0 else 'after'} layer {layer} that fact lookup does not have")
        taken.append(free.pop(nearest))
    return taken


def site(arch: Architecture, start: float) -> tuple[Component, ...]:
    """MLPs of five in eighteen of the layers, one at least, from a share of the depth on: layers 3 to 7 of 18 from a sixth."""
    first = int(start * arch.n_layers)
    return modules(arch, ["mlp"])[first : first + max(1, 5 * arch.n_layers // 18)]


def spaced_site(arch: Architecture, number: int, of: int) -> tuple[Component, ...]:
    """As many MLPs of neighbouring layers as :func:`site` has: the ``number``-th of ``of`` places from the first layer to the last."""
    return _window(arch, len(site(arch, 0)), number, of)


def _window(arch: Architecture, width: int, number: int, of: int) -> tuple[Component, ...]:
    mlps = modules(arch, ["mlp"])
    first = round(number * (len(mlps) - width) / max(of - 1, 1))
    return mlps[first : first + width]


def _shuffled(components: tuple[Component, ...], seed: int) -> list[Component]:
    order = list(components)
    random.Random(seed).shuffle(order)
    return order
