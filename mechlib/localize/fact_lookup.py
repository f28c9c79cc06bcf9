"""Fact lookup (the paper's FLU): the early MLPs that enrich the subject with the answer."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mechlib.components import Architecture, Component
from mechlib.patching.probing import ProbeRow

# Of all layers: what a localization may take at most.
MOST = 0.25


def widest(n_layers: int, most: float = MOST) -> int:
    """How many layers fact lookup may take at most of so many."""
    return max(1, math.ceil(most * n_layers))


def lookup_layers(accuracies: Sequence[float], n_layers: int, total: int, rise: float = 0.1, most: float = MOST) -> range:
    """The rule: from probe accuracies at the last subject token, after each layer, to a window of layers.

    First layer: the first after which accuracy exceeds that after layer 0 by ``rise``. Last layer:
    one past the first that comes within one standard error (``total`` facts) of the best accuracy,
    but never so late that the window holds more than the share ``most`` of all layers, because a
    localization that holds most of the network localizes nothing. Fed with the accuracies that the
    authors published it gives the layers that their released code edits, for all three models.
    """
    best = max(accuracies)
    error = math.sqrt(best * (1 - best) / total)
    rising = [layer for layer, accuracy in enumerate(accuracies) if accuracy >= accuracies[0] + rise - 1e-9]
    first = rising[0] if rising else 0
    saturated = next(layer for layer, accuracy in enumerate(accuracies) if layer >= first and accuracy >= best - error - 1e-9)
    return range(first, min(saturated + 2, first + widest(n_layers, most), n_layers))


def subject_accuracies(rows: Sequence[ProbeRow]) -> list[float]:
    """Accuracy at the last subject token after layer 0, 1, ...: what enters layer 1, 2, ... of the rows."""
    entering = {row.layer: row.correct / row.total for row in rows if row.position == "subject"}
    return [entering[layer] for layer in sorted(entering) if layer > 0]


def fact_lookup(rows: Sequence[ProbeRow], arch: Architecture) -> tuple[Component, ...]:
    """The MLPs of the layers that :func:`lookup_layers` chooses."""
    layers = lookup_layers(subject_accuracies(rows), arch.n_layers, rows[0].total)
    return tuple(Component(layer, "mlp") for layer in layers)
