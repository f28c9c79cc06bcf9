"""Equal norm: whether edits differ because their changes are of different size, which one change is rescaled to find out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import pandas as pd

from mechlib.localize.registry import AT_NORM, at_norm
from mechlib.report.arm_outcome import relearned
from mechlib.report.gates import Evidence
from mechlib.report.tables import label, leading, named
from mechlib.stats import Interval, compare

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


def gaps(evidence: Evidence) -> pd.DataFrame:
    """What relearning brings back after the leading edit minus after each other, as they were edited and at equal norm.

    Columns: ``rival``, ``series`` ("as edited" or "at equal norm"), ``estimate``, ``low`` and ``high`` (nats), of the pairs of which an
    edit was rescaled to the norm of the other, which stands beside it as it was edited.
    """
    records: list[tuple[str, str, float, float, float]] = []
    for rival, (as_edited, at_equal_norm) in (_pairs(evidence.arms) if evidence.relearning else {}).items():
        for norms, pair in (("as edited", as_edited), ("at equal norm", at_equal_norm)):
            mine, theirs = (relearned(evidence, arm, evidence.last).odds for arm in pair)
            gap = compare(mine, theirs, "lower").difference
            records.append((rival, norms, gap.estimate, gap.low, gap.high))
    return pd.DataFrame(records, columns=["rival", "series", "estimate", "low", "high"])


def _pairs(arms: Sequence[str]) -> dict[str, tuple[tuple[str, str], tuple[str, str]]]:
    """By rival of the leading edit: the two as they were edited, and the two of which one was rescaled."""
    found: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {}
    for arm in arms:
        pair = at_norm(arm)
        if pair and leading(arms) in pair and {*pair} <= {*arms}:
            lead = leading(arms)
            rival = pair[0] if pair[1] == lead else pair[1]
            found[rival] = (lead, rival), (arm if pair[0] == lead else lead, arm if pair[0] == rival else rival)
    return found


def gaps_table(table: pd.DataFrame) -> pd.DataFrame:
    """:func:`gaps` for readers, a line a rival."""
    cells = {(row["rival"], row["series"]): str(Interval(row["estimate"], row["low"], row["high"])) for row in table.to_dict("records")}
    lines = [(label(rival), *(cells.get((rival, norms), "-") for norms in ("as edited", "at equal norm")))
             for rival in dict.fromkeys(table.rival)]  # fmt: skip
    return pd.DataFrame(lines, columns=["minus", "log odds, as edited", "log odds, at equal norm"])


def rescaled(arms: Sequence[str]) -> str:
    """Which edits were rescaled to the norm of which, in words."""
    pairs = [pair for pair in map(at_norm, arms) if pair]
    return "; ".join(f"{named(own)} to the norm of {named(other)}" for own, other in pairs) or f"none (name one with {AT_NORM})"


def _spread(norms: Sequence[float]) -> tuple[float, float, float]:
    return fmean(norms), min(norms), max(norms)
