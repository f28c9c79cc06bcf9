"""Output tracing: the components whose outputs, patched one at a time, move the answer most."""

from __future__ import annotations

import math

from mechlib.components import Component, ComponentError
from mechlib.patching.scores import Scores


def by_module(scores: Scores) -> dict[Component, float]:
    """Scores of whole attention layers (sum over their heads, as in the released code) and of MLPs.

    Raises :class:`ComponentError` for a score that is not finite.
    """
    summed: dict[Component, float] = {}
    # In layer order, so that sums have the same bits whichever way scores are ordered.
    for component, value in sorted(scores.values.items()):
        if not math.isfinite(value):
            raise ComponentError(f"{scores.method}: the score of {component} is {value}; measure it again on facts whose answers differ")
        module = Component(component.layer, "mlp" if component.kind == "mlp" else "attn")
        summed[module] = summed.get(module, 0.0) + value
    return summed


def ranked(scores: Scores, mlps_only: bool) -> list[Component]:
    """Modules by decreasing absolute score, ties in layer order."""
    modules = {c: value for c, value in by_module(scores).items() if c.kind == "mlp" or not mlps_only}
    return sorted(modules, key=lambda component: (-abs(modules[component]), component))
