"""Next door: fact lookup's MLPs against those right before and right after them, which differ least in depth."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mechlib.report.arm_outcome import arm_outcome
from mechlib.report.claims import Claim
from mechlib.report.gates import Evidence
from mechlib.stats import compare

TRANSFER, RELEARNING = "transfer next to fact lookup", "relearning next to fact lookup"
# Where it is compared, by the outcome of a claim.
OUTCOMES = {TRANSFER: "in prompts that were not trained", RELEARNING: "after relearning of one half"}
# The places that lie earlier than fact lookup's, in words.
EARLIER = {"mlps_before": "those right before its own", "window_0_of_9": "the first ones of the model"}


def gaps(claims: Sequence[Claim], evidence: Evidence) -> pd.DataFrame:
    """What comes back after an edit at a claim's first place minus after each other arm that was run, for a figure.

    Columns: ``rival``, ``series`` (where it is compared), ``estimate``, ``low`` and ``high`` (nats). ``claims``: one of each
    of ``OUTCOMES``.
    """
    records: list[tuple[str, str, float, float, float]] = []
    for claim in claims:
        found = {arm: told.odds for arm in evidence.arms if (told := arm_outcome(claim, evidence, arm))}
        for rival in found if claim.first in found else ():
            if rival != claim.first:
                gap = compare(found[claim.first], found[rival], "lower").difference
                records.append((rival, OUTCOMES[claim.outcome], gap.estimate, gap.low, gap.high))
    return pd.DataFrame(records, columns=["rival", "series", "estimate", "low", "high"])
