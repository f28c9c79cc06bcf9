"""A mean over forget sets of several kinds, in which each kind counts alike and what differs between kinds is not chance."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from math import sqrt

import numpy as np

from mechlib.stats.mixed import Effect, effect


def balanced(values: Mapping[int, float], kinds: Mapping[int, Hashable]) -> Effect:
    """The mean of the kinds' means, with Student's intervals from the variance of sets within their kind.

    ``values``: a number a forget set; ``kinds``: the kind of each. It is the intercept of least squares on the kinds, each coded against
    the mean of all: sets of one kind have a mean of their own, and only what they differ among themselves is chance. Raises
    ``ValueError`` for a value that is not finite, without any, and where no kind has two sets.
    """
    if not values or not np.isfinite(list(values.values())).all():
        raise ValueError("a mean over forget sets needs values, and finite ones")
    groups: dict[Hashable, list[float]] = {}
    for number, value in values.items():
        groups.setdefault(kinds[number], []).append(value)
    free = len(values) - len(groups)
    if free < 1:
        raise ValueError("no two forget sets are of one kind: nothing tells what is chance")
    variance = sum(float(np.sum((np.array(own) - np.mean(own)) ** 2)) for own in groups.values()) / free
    error = sqrt(variance * sum(1 / len(own) for own in groups.values())) / len(groups)
    return effect(float(np.mean([np.mean(own) for own in groups.values()])), error, free)
