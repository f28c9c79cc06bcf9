"""A linear mixed model of arms and forget sets: what a property of arms does at equal values of the others."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtr, stdtrit

from mechlib.stats.interval import Interval


@dataclass(frozen=True)
class Effect:
    """One coefficient: its 95 % and 90 % intervals, and the p of zero."""

    interval: Interval
    narrow: Interval
    p: float


def mixed(table: pd.DataFrame, outcome: str, terms: Sequence[str]) -> dict[str, Effect]:
    """The effects of ``terms`` on ``outcome``, with a random intercept for each ``arm`` and each ``forget_set`` (crossed), by REML.

    Arms are the unit: Student's quantiles have as many degrees of freedom as there are arms beyond the coefficients,
    whatever the number of sets. Raises ``ValueError`` with no degree of freedom left, for a column that is missing or not finite,
    and for terms that depend on each other.
    """
    columns = [outcome, *terms]
    if missing := [name for name in (*columns, "arm", "forget_set") if name not in table]:
        raise ValueError(f"the table has no column {missing[0]}")
    if not np.isfinite(table[columns].to_numpy(dtype=float)).all():
        raise ValueError(f"a value of {', '.join(columns)} is not finite")
    free = table.arm.nunique() - len(terms) - 1
    if free < 1:
        raise ValueError(f"{table.arm.nunique()} arms are too few for {len(terms)} terms")
    design = np.column_stack([np.ones(len(table)), table[list(terms)].to_numpy(dtype=float)])
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise ValueError(f"the terms {', '.join(terms)} depend on each other")
    if np.ptp(table[outcome].to_numpy(dtype=float)) == 0:  # nothing does anything to it
        return {name: effect(0.0, 0.0, free) for name in terms}
    centres, errors = _fitted(table.reset_index(drop=True), outcome, design, terms)
    return {name: effect(centre, error, free) for name, centre, error in zip(terms, centres[1:], errors[1:], strict=True)}


def _fitted(table: pd.DataFrame, outcome: str, design: np.ndarray, terms: Sequence[str]) -> tuple[list[float], list[float]]:
    """Generalized least squares: coefficients and their standard errors, the intercept first."""
    # What has one level, or a level for each row, has no variance of its own.
    drawn = {name: f"0 + C({name})" for name in ("arm", "forget_set") if 1 < len({*table[name]}) < len(table)}
    values = table[outcome].to_numpy(dtype=float)
    variance = _variance(table, outcome, terms, drawn) if drawn else np.eye(len(table)) * _plain(design, values)
    # The optimizer's own covariance, of a numerical Hessian, is not always positive.
    weighted = np.linalg.solve(variance, design)
    covariance = np.linalg.inv(design.T @ weighted)
    return (covariance @ weighted.T @ values).tolist(), np.sqrt(np.diag(covariance)).tolist()


def _plain(design: np.ndarray, values: np.ndarray) -> float:
    """The variance of what least squares leave."""
    left = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    return float(left @ left) / (len(values) - design.shape[1])


def _variance(table: pd.DataFrame, outcome: str, terms: Sequence[str], drawn: Mapping[str, str]) -> np.ndarray:
    """The covariance of the rows, rows x rows, with the variances that REML finds."""
    # Imported where they are wanted, by one page: it takes as long as a page has beyond its runs.
    from statsmodels.formula.api import mixedlm
    from statsmodels.tools.sm_exceptions import ConvergenceWarning

    model = mixedlm(f"{outcome} ~ {' + '.join(terms)}", table, groups=np.ones(len(table)), vc_formula=dict(drawn), re_formula="0")
    with warnings.catch_warnings():
        # A variance of zero lies at the edge of what is possible, which the optimizer says.
        for kind in (ConvergenceWarning, UserWarning, RuntimeWarning):
            warnings.simplefilter("ignore", kind)
        # Gradients mislead at that edge: these two search without.
        found = model.fit(reml=True, method=["powell", "nm"])
    variance = float(found.scale) * np.eye(len(table))
    for name, share in zip(model.exog_vc.names, found.vcomp, strict=True):
        levels = table[name].to_numpy()
        variance += max(0.0, float(share)) * (levels[:, None] == levels[None, :])
    return variance


def effect(estimate: float, error: float, free: int) -> Effect:
    """An estimate with its standard error as an effect, by Student's quantiles with so many degrees of freedom."""
    wide, narrow = (float(stdtrit(free, (1 + level) / 2)) * error for level in (0.95, 0.90))
    p = 2 * float(stdtr(free, -abs(estimate) / error)) if error > 0 else float(estimate == 0)
    return Effect(
        Interval(estimate, estimate - wide, estimate + wide, 0.95), Interval(estimate, estimate - narrow, estimate + narrow, 0.90), p
    )
