"""Controls: localizations that know nothing about facts."""

from __future__ import annotations

import random

from mechlib.components import Architecture, Component, modules
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
    mlps = modules(arch, ["mlp"])
    width = len(fill_budget(mlps, budget, arch))
    first = round(number * (len(mlps) - width) / (of - 1))
    return mlps[first : first + width]


def site(arch: Architecture, start: float) -> tuple[Component, ...]:
    """MLPs of five in eighteen of the layers, one at least, from a share of the depth on: layers 3 to 7 of 18 from a sixth."""
    first = int(start * arch.n_layers)
    return modules(arch, ["mlp"])[first : first + max(1, 5 * arch.n_layers // 18)]


def _shuffled(components: tuple[Component, ...], seed: int) -> list[Component]:
    order = list(components)
    random.Random(seed).shuffle(order)
    return order
