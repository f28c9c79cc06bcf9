"""Controls: localizations that know nothing about facts."""

from __future__ import annotations

import random

from mechlib.components import Architecture, Component, modules


def shuffled_mlps(arch: Architecture, seed: int) -> list[Component]:
    """All MLPs in a random order."""
    return _shuffled(modules(arch, ["mlp"]), seed)


def shuffled_modules(arch: Architecture, seed: int) -> list[Component]:
    """All attention layers and MLPs in a random order. The paper draws single matrices, and never a gate."""
    return _shuffled(modules(arch), seed)


def _shuffled(components: tuple[Component, ...], seed: int) -> list[Component]:
    order = list(components)
    random.Random(seed).shuffle(order)
    return order
