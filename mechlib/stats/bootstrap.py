"""The hierarchical bootstrap: forget sets are drawn with replacement, then facts within each drawn set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

DRAWS = 10_000
# One number a fact, by forget set; seeds, formats and rotations are averaged before.
Values = Mapping[int, Sequence[float]]


def stacked(*arms: Values) -> list[Float[np.ndarray, "_fact arm"]]:
    """The arms' values side by side, one array a forget set, in the order of the sets' numbers.

    Raises ``ValueError`` if the arms do not hold the same sets with as many facts in each, if there
    is no set or a set without facts, and if a value is not finite.
    """
    first = arms[0]
    if any(arm.keys() != first.keys() or any(len(arm[key]) != len(first[key]) for key in first) for arm in arms):
        raise ValueError("the arms hold different forget sets or facts")
    if not first or not all(len(facts) for facts in first.values()):
        raise ValueError("no forget set, or one without facts")
    sets = [np.stack([np.asarray(arm[key], float) for arm in arms], axis=1) for key in sorted(first)]
    if not all(np.isfinite(facts).all() for facts in sets):
        raise ValueError("a value is not a finite number")
    return sets


def overall(sets: Sequence[Float[np.ndarray, "_fact arm"]]) -> Float[np.ndarray, " arm"]:
    """Mean over forget sets of the mean over facts: sets count equally, whatever their size."""
    return np.mean([facts.mean(axis=0) for facts in sets], axis=0)


def redrawn(
    sets: Sequence[Float[np.ndarray, "_fact arm"]], chosen: Int[np.ndarray, "draw set"], generator: np.random.Generator
) -> Float[np.ndarray, "draw arm"]:
    """:func:`overall` of every draw, with the sets that ``chosen`` names and facts drawn anew within each.

    A fact is drawn with all its arms, so what pairs them is kept.
    """
    means = np.empty((*chosen.shape, sets[0].shape[1]))
    for number, facts in enumerate(sets):
        here = chosen == number
        picks = generator.integers(len(facts), size=(int(here.sum()), len(facts)))
        means[here] = facts[picks].mean(axis=1)
    return means.mean(axis=1)
