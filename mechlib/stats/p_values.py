"""Exact tests over forget sets, the interval that they imply, and Holm's adjustment over a declared family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from mechlib.stats.interval import Interval, check_level

# Below six forget sets an exact sign-flip test cannot reach .05, so no verdict is drawn (6 gives .031).
ENOUGH_SETS = 6
# Up to 20 sets all flips are taken (8 MB); above, as many that are drawn.
EXACT_SETS = 20


def sign_flip(gaps: Sequence[float]) -> float:
    """Two-sided p of the sign-flip test: the share of all 2^n ways to flip ``gaps`` with as large an absolute mean.

    ``gaps`` holds one mean difference a forget set. Under the null hypothesis the two arms of a set
    are exchangeable, so each gap has either sign alike. Above ``EXACT_SETS`` sets, 2^20 flips are
    drawn, always the same; the one observed counts among them, so the test stays valid (Phipson and
    Smyth, 2010). Raises ``ValueError`` if a gap is not finite, and below ``ENOUGH_SETS`` gaps: no
    p-value is ever given from fewer.
    """
    _check(gaps)
    # Each gap is in or out of a sum; flipping a sign takes it twice from the total.
    flipped = sum(gaps) - 2 * _sums(np.asarray(gaps, float))
    # Flips that tie in exact arithmetic differ in the last digits; scipy's permutation_test misses those where the sum is near zero.
    rounding = 1e-12 * np.abs(gaps).sum()
    return float(np.mean(np.abs(flipped) >= abs(sum(gaps)) - rounding))


def least_p(gaps: Sequence[float]) -> float:
    """The smallest p that :func:`sign_flip` can give for gaps of these sizes, whatever their signs: 2 / 2^k, ``k`` of them not zero.

    A gap of zero is the same flipped or not, so it tells nothing. Above ``EXACT_SETS`` sets it is 2 of the flips that are drawn.
    """
    return min(1.0, 2.0 ** (1 - min(EXACT_SETS, sum(gap != 0 for gap in gaps))))


def set_interval(gaps: Sequence[float], level: float = 0.95) -> Interval:
    """Mean of ``gaps`` with the interval of all shifts that :func:`sign_flip` does not reject at ``1 - level``.

    Its ends are order statistics of the means of all subsets of the sets: each of the 2^n spaces
    between these holds the centre alike, if gaps are symmetrical about it (Hartigan, 1969). Where so few
    sets reject no shift at all (six above a level of .969), it has no ends. Raises ``ValueError`` as
    :func:`sign_flip` does, and for a level that is no probability.
    """
    _check(gaps)
    check_level(level)
    values = np.asarray(gaps, float)
    sums, sizes = _sums(values), _sums(np.ones(len(values)))
    means = sums[sizes > 0] / sizes[sizes > 0]
    out = int((1 - level) / 2 * len(sums))
    if not out:
        return Interval(float(values.mean()), -np.inf, np.inf, level)
    low, high = np.partition(means, (out - 1, len(means) - out))[[out - 1, len(means) - out]]
    return Interval(float(values.mean()), float(low), float(high), level)


def _check(gaps: Sequence[float]) -> None:
    if len(gaps) < ENOUGH_SETS:
        raise ValueError(f"{len(gaps)} forget sets are fewer than {ENOUGH_SETS}: no p-value is given")
    if not np.isfinite(gaps).all():
        raise ValueError("a gap is not a finite number")


def _sums(values: Float[np.ndarray, " set"]) -> Float[np.ndarray, " subset"]:
    """Sums of all subsets, the empty one first; above ``EXACT_SETS`` values of subsets that are drawn, the same for any values."""
    if len(values) <= EXACT_SETS:
        sums = np.zeros(1)
        for value in values:
            sums = np.concatenate([sums, sums + value])
        return sums
    generator, sums = np.random.default_rng(0), np.zeros(2**EXACT_SETS)
    for value in values:
        chosen = generator.integers(2, size=len(sums))
        chosen[0] = 0
        sums += value * chosen
    return sums


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's adjusted p (1979) for each hypothesis of a family that was declared beforehand.

    Raises ``ValueError`` if a p-value is not within [0, 1].
    """
    if not all(0 <= p <= 1 for p in p_values.values()):
        raise ValueError("a p-value is not within [0, 1]")
    # statsmodels has the same, and clears the whole heap at every call: most of a second beside the rows of a page.
    order, count = sorted(p_values, key=lambda name: p_values[name]), len(p_values)
    stepwise = np.maximum.accumulate([(count - rank) * p_values[name] for rank, name in enumerate(order)])
    adjusted = dict(zip(order, np.minimum(stepwise, 1.0).tolist(), strict=True))
    return {name: adjusted[name] for name in p_values}
