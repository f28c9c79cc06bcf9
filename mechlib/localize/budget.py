"""The one budget rule: every localization gets as many weights as fact lookup has."""

from __future__ import annotations

from collections.abc import Iterable

from mechlib import checks
from mechlib.components import Architecture, Component, ComponentError
from mechlib.errors import shown


def fill_budget(ranked: Iterable[Component], budget: int, arch: Architecture) -> tuple[Component, ...]:
    """The first components of a ranking until they hold at least ``budget`` weights.

    This is the paper's rule: the last component may overshoot, by less than its own size. The exact
    count is in the :class:`Localization`. Raises :class:`ComponentError` if all together are too few or
    the budget is no whole number above 0.
    """
    if not checks.is_a(budget, int):
        raise ComponentError(f"a budget is a whole number of weights, not {shown(budget)}")
    if budget < 1:
        raise ComponentError(f"a budget of {budget:,} weights holds no component: give one above 0")
    taken: list[Component] = []
    count = 0
    for component in ranked:
        if count >= budget:
            break
        taken.append(component)
        count += component.size(arch)
    if count < budget:
        raise ComponentError(f"a budget of {budget:,} weights cannot be reached: all candidates hold {count:,}")
    return tuple(taken)
