"""The exact test over forget sets, and Holm's adjustment over a declared family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from statsmodels.stats import multitest

# Below six forget sets an exact sign-flip test cannot reach .05, so no verdict is drawn (6 gives .031).
ENOUGH_SETS = 6


def sign_flip(gaps: Sequence[float]) -> float:
    """Exact two-sided p of the sign-flip test: the share of all 2^n ways to flip ``gaps`` with as large an absolute mean.

    ``gaps`` holds one mean difference a forget set. Under the null hypothesis the two arms of a set
    are exchangeable, so each gap has either sign alike. All 2^n sums are held at once: 8 MB for
    20 sets. Raises ``ValueError`` if a gap is not finite, and below ``ENOUGH_SETS`` gaps: no p-value
    is ever given from fewer.
    """
    if len(gaps) < ENOUGH_SETS:
        raise ValueError(f"{len(gaps)} forget sets are fewer than {ENOUGH_SETS}: no p-value is given")
    if not np.isfinite(gaps).all():
        raise ValueError("a gap is not a finite number")
    sums = np.zeros(1)
    for gap in gaps:
        sums = np.concatenate([sums + gap, sums - gap])
    # Flips that tie in exact arithmetic differ in the last digits; scipy's permutation_test misses those where the sum is near zero.
    rounding = 1e-12 * np.abs(gaps).sum()
    return float(np.mean(np.abs(sums) >= abs(sums[0]) - rounding))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's adjusted p (1979) for each hypothesis of a family that was declared beforehand.

    Raises ``ValueError`` if a p-value is not within [0, 1].
    """
    if not all(0 <= p <= 1 for p in p_values.values()):
        raise ValueError("a p-value is not within [0, 1]")
    if not p_values:
        return {}
    adjusted: Any = multitest.multipletests(list(p_values.values()), method="holm")[1]
    return dict(zip(p_values, adjusted.tolist(), strict=True))
