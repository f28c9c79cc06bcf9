"""Next door: fact lookup's MLPs against those right before and right after them, which differ least in depth."""

from __future__ import annotations

from collections.abc import Sequence

from mechlib.report.arm_outcome import arm_outcome
from mechlib.report.claims import Claim
from mechlib.report.gates import Evidence
from mechlib.stats import Values

TRANSFER, RELEARNING = "transfer next to fact lookup", "relearning next to fact lookup"
# Where it is compared, by the outcome of a claim.
OUTCOMES = {TRANSFER: "in prompts that were not trained", RELEARNING: "after relearning of one half"}
# The places that lie earlier than fact lookup's, in words.
EARLIER = {"mlps_before": "those right before its own", "window_0_of_9": "the first ones of the model"}


def series(claims: Sequence[Claim], evidence: Evidence) -> dict[str, dict[str, Values]]:
    """The log odds of every arm that was run, by where it is compared, for :func:`mechlib.report.gaps.gaps`.

    ``claims``: one of each of ``OUTCOMES``.
    """
    return {OUTCOMES[claim.outcome]: {arm: told.odds for arm in evidence.arms if (told := arm_outcome(claim, evidence, arm))}
            for claim in claims}  # fmt: skip
