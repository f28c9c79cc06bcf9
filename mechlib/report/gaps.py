"""Gaps between an edit at one place and edits at others, in series that stand side by side in a figure."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from mechlib.report.arm_outcome import relearned
from mechlib.report.gates import Evidence
from mechlib.stats import Values, compare

COLUMNS = ["rival", "series", "estimate", "low", "high"]


def gaps(series: Mapping[str, Mapping[str, Values]], first: str) -> pd.DataFrame:
    """What comes back after an edit at ``first`` minus after each other arm, in log odds (nats) over forget sets.

    ``series``: by name, the log odds of every arm that was run. A series without ``first`` has no gaps. Columns: ``rival``,
    ``series``, ``estimate``, ``low`` and ``high``.
    """
    records: list[tuple[str, str, float, float, float]] = []
    for name, arms in series.items():
        for rival in arms if first in arms else ():
            if rival != first:
                gap = compare(arms[first], arms[rival], "lower").difference
                records.append((rival, name, gap.estimate, gap.low, gap.high))
    return pd.DataFrame(records, columns=COLUMNS)


def around_attack(evidence: Evidence) -> dict[str, dict[str, Values]]:
    """What every arm says of the half that relearning does not teach, before the attack and after its last step, for :func:`gaps`."""
    if not evidence.relearning:
        return {}
    return {"before the attack": {arm: relearned(evidence, arm).odds for arm in evidence.arms},
            "after it": {arm: relearned(evidence, arm, evidence.last).odds for arm in evidence.arms}}  # fmt: skip
