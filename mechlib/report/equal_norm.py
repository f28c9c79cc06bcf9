"""Equal norm: whether edits differ because their changes are of different size, which one change is rescaled to find out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import pandas as pd

from mechlib.localize.registry import AT_NORM, at_norm
from mechlib.report.tables import label, named
from mechlib.report.verdicts import Line
from mechlib.stats import Interval

Values = Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]
OUTCOME = "relearning at equal norm"


def norms_table(values: Values) -> pd.DataFrame:
    """A line an arm: the norm of its change, mean and range over edits, and by how much it was rescaled (1: not at all).

    ``values``: those of the edits, with the columns ``localization`` and ``forget_set``.
    """
    arms: dict[str, list[Mapping[str, Any]]] = {}
    for columns, value in values:
        arms.setdefault(columns["localization"], []).append(value)
    lines = [(label(arm), *_spread([one["norm"] for one in own]), fmean(one.get("factor", 1.0) for one in own))
             for arm, own in arms.items()]  # fmt: skip
    return pd.DataFrame(lines, columns=["localization", "norm", "least", "most", "rescaled by"])


def gaps(lines: Sequence[Line]) -> pd.DataFrame:
    """What relearning brings back after an edit at fact lookup minus after each other, as they were edited and at equal norm.

    Columns: ``rival``, ``norms`` ("as edited" or "at equal norm"), ``estimate``, ``low`` and ``high`` (nats), of what was run.
    """
    rivals = [one.rival for one in lines if one.claim.outcome == OUTCOME]
    asked = {"as edited": "relearning", "at equal norm": OUTCOME}
    run = [(norms, one.rival, one.odds.difference) for norms, outcome in asked.items() for one in lines
           if one.claim.outcome == outcome and one.odds and one.rival in rivals]  # fmt: skip
    records = [(rival, norms, gap.estimate, gap.low, gap.high) for norms, rival, gap in run]
    return pd.DataFrame(records, columns=["rival", "norms", "estimate", "low", "high"])


def gaps_table(table: pd.DataFrame) -> pd.DataFrame:
    """:func:`gaps` for readers, a line a rival."""
    cells = {(row["rival"], row["norms"]): str(Interval(row["estimate"], row["low"], row["high"])) for row in table.to_dict("records")}
    lines = [(label(rival), *(cells.get((rival, norms), "-") for norms in ("as edited", "at equal norm")))
             for rival in dict.fromkeys(table.rival)]  # fmt: skip
    return pd.DataFrame(lines, columns=["minus", "log odds, as edited", "log odds, at equal norm"])


def rescaled(arms: Sequence[str]) -> str:
    """Which edits were rescaled to the norm of which, in words."""
    pairs = [pair for pair in map(at_norm, arms) if pair]
    return "; ".join(f"{named(own)} to the norm of {named(other)}" for own, other in pairs) or f"none (name one with {AT_NORM})"


def _spread(norms: Sequence[float]) -> tuple[float, float, float]:
    return fmean(norms), min(norms), max(norms)
