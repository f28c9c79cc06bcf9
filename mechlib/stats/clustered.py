"""Estimates whose unit is the forget set: facts of one set share one edit, so they are not independent trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit

from mechlib.stats.bootstrap import Values, overall, stacked
from mechlib.stats.interval import Interval, check_level, wilson
from mechlib.stats.p_values import ENOUGH_SETS


def clustered(values: Values, level: float = 0.95) -> Interval:
    """Mean over forget sets of the mean over facts, with Student's interval over the sets' means.

    Below ``ENOUGH_SETS`` sets too little is seen between them, and the interval is over facts; with
    one fact it has no ends. Raises ``ValueError`` as :func:`mechlib.stats.bootstrap.stacked` does, and for a level that is no probability.
    """
    check_level(level)
    sets, centre = [facts[:, 0] for facts in stacked(values)], float(overall(stacked(values))[0])
    units = np.array([facts.mean() for facts in sets]) if len(sets) >= ENOUGH_SETS else np.concatenate(sets)
    half = _half_width(float(np.var(units, ddof=1)) / len(units), len(units) - 1, level) if len(units) > 1 else np.inf
    return Interval(centre, centre - half, centre + half, level)


def share(values: Values, level: float = 0.95) -> Interval:
    """A share, with a Wilson interval on as many facts as the sets are worth (after Korn and Graubard, 1998).

    ``values`` are within [0, 1], averages of a fact's rows. The facts count as
    ``p (1 - p) / variance of the mean over sets``, at most as many as there are, and as fewer where
    few sets tell that variance. Below ``ENOUGH_SETS`` sets each fact counts as one. Without facts the
    share is unknown, within [0, 1]. Raises ``ValueError`` for other values.
    """
    check_level(level)
    if not any(len(facts) for facts in values.values()):
        return Interval(float("nan"), 0.0, 1.0, level)
    sets = stacked(values)
    if not all(((facts >= 0) & (facts <= 1)).all() for facts in sets):
        raise ValueError("a value of a share is not within [0, 1]")
    n_facts, p = sum(map(len, sets)), float(overall(sets)[0])
    worth = float(n_facts)
    if len(sets) >= ENOUGH_SETS:
        variance = float(np.var([facts.mean() for facts in sets], ddof=1)) / len(sets)
        worth = min(worth, p * (1 - p) / variance) if variance > 0 else worth
        worth *= float((stdtrit(max(1, n_facts - 1), (1 + level) / 2) / stdtrit(len(sets) - 1, (1 + level) / 2)) ** 2)
    return wilson(p * worth, worth, level)


def crossed(values: Mapping[int, Sequence[float]], level: float = 0.95) -> Interval:
    """Mean over forget sets and texts where every set meets the same texts, in the same order: both are drawn.

    The variance is ``between sets / sets + between texts / texts - cells / (sets * texts)``, which
    counts what is left in a cell once (Cameron, Gelbach and Miller, 2011), and never less than either
    of the first two; Student's quantile has as many degrees of freedom as the smaller number less one. With one
    set or text, the other alone is the unit. Raises ``ValueError`` if sets hold different numbers of
    texts, if there are none, and for a value that is not finite.
    """
    if not values or len({len(row) for row in values.values()}) != 1 or not len(next(iter(values.values()))):
        raise ValueError("every forget set needs the same texts")
    check_level(level)
    stacked(values)
    table: Float[np.ndarray, "set text"] = np.array([values[key] for key in sorted(values)], float)
    n_sets, n_texts = table.shape
    centre = float(table.mean())
    parts = [float(np.var(table.mean(axis=1 - axis), ddof=1)) / n for axis, n in ((0, n_sets), (1, n_texts)) if n > 1]
    if not parts:
        return Interval(centre, -np.inf, np.inf, level)
    variance = sum(parts)
    if len(parts) == 2:
        rest = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + centre
        variance -= float((rest**2).sum()) / ((n_sets - 1) * (n_texts - 1)) / table.size
    half = _half_width(max(variance, *parts, 0.0), min(n for n in table.shape if n > 1) - 1, level)
    return Interval(centre, centre - half, centre + half, level)


def _half_width(variance: float, freedom: int, level: float) -> float:
    return float(stdtrit(freedom, (1 + level) / 2) * np.sqrt(variance))
