"""Fact lookup by path patching (the paper's method for CounterFact): heads that extract, then MLPs that feed them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from mechlib.components import Component, ComponentError
from mechlib.errors import meant, shown
from mechlib.patching.scores import Scores

# The paper chooses MLPs that raise the logit difference by more than the threshold; the released
# code takes the absolute effect, which for Gemma-7B chooses mostly MLPs that lower it.
Rule = Literal["paper", "released"]
THRESHOLD = 0.02
N_EXTRACTION_HEADS = 10
N_EXTRACTION_MLPS = 5


def extraction_heads(scores: Scores, count: int = N_EXTRACTION_HEADS) -> tuple[Component, ...]:
    """The ``count`` heads with the largest absolute direct effect, strongest first."""
    heads = [component for component in scores.values if component.kind == "head"]
    return tuple(sorted(heads, key=lambda head: (-abs(scores.values[head]), head))[:count])


def extraction_mlps(scores: Scores, lookup: Sequence[Component], count: int = N_EXTRACTION_MLPS) -> tuple[Component, ...]:
    """The ``count`` MLPs with the largest absolute direct effect that are not fact lookup's, strongest first."""
    mlps = [component for component in scores.values if component.kind == "mlp" and component not in lookup]
    return tuple(sorted(mlps, key=lambda mlp: (-abs(scores.values[mlp]), mlp))[:count])


def receiver_layer(heads: Sequence[Component]) -> int:
    """The stream that the second step patches enters the lowest of the extraction heads' layers."""
    return min(head.layer for head in heads)


def feeding_mlps(effects: Mapping[Component, float], n_layers: int, rule: Rule, threshold: float = THRESHOLD) -> tuple[Component, ...]:
    """The MLPs whose effect exceeds ``threshold`` after the last layer's is taken off as the baseline.

    Raises :class:`ComponentError` if there is none, for another rule, and for an effect that is not finite.
    """
    if rule not in get_args(Rule):
        raise ComponentError(f"the rule {shown(rule)} is unknown{meant(rule, get_args(Rule))}: choose {' or '.join(get_args(Rule))}")
    if wrong := [component for component, effect in effects.items() if not math.isfinite(effect)]:
        value = effects[wrong[0]]
        raise ComponentError(f"path patching: the effect of {wrong[0]} is {value}; measure it again on facts whose answers differ")
    baseline = effects.get(Component(n_layers - 1, "mlp"), 0.0)
    shifted = {component: effect - baseline for component, effect in effects.items() if component.kind == "mlp"}
    found = [component for component, effect in sorted(shifted.items()) if (abs(effect) if rule == "released" else effect) > threshold]
    if not found:
        raise ComponentError(f"path patching finds no MLP with an effect above {threshold}: give LOCALIZATION a file, "
                             "and LOCALIZATIONS only methods without a budget (all_mlps, mlps_2_to_6)")  # fmt: skip
    return tuple(found)
