"""What a claim compares, by arm: log p(true) - log p(target), which decides, and the share of true answers beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mechlib.report.aggregation import FACT, Rows, fact_values
from mechlib.report.claims import Claim
from mechlib.report.gates import Evidence
from mechlib.report.robustness import BEFORE, Setting
from mechlib.stats import Values


@dataclass(frozen=True)
class ArmOutcome:
    """One arm: ``odds`` in nats and ``shares``, a number a fact, by forget set."""

    odds: Values
    shares: Values


def arm_outcome(claim: Claim, evidence: Evidence, arm: str) -> ArmOutcome | None:
    """What an arm did by the outcome of a claim; ``None`` where the rows are not there, or the outcome is none of rows."""
    found = None
    if claim.measure == "relearning" and evidence.relearning:
        found = relearned(evidence, arm, evidence.last)
    elif claim.measure == "transfer" and (formats := _formats(claim, evidence)):
        found = _outcome(evidence.asked(arm, "forget", formats), ["format"])
    return found if found and found.odds else None


def relearned(evidence: Evidence, arm: str, setting: Setting = (BEFORE, 0)) -> ArmOutcome:
    """What an arm answers about the half that relearning does not teach, at a setting and step of it or (as usual) before it."""
    return _outcome(evidence.attacked(arm, "forget", setting))


def _outcome(rows: Rows, within: Sequence[str] = ()) -> ArmOutcome:
    asked = with_odds(rows)
    return ArmOutcome(fact_values(asked, "odds", FACT, within), fact_values(asked, "correct", FACT, within))


def with_odds(rows: Rows) -> list[Mapping[str, Any]]:
    """Rows that have an edit target, with ``odds``, log p(true) - log p(target)."""
    return [{**row, "odds": row["log_probability"] - row["target_log_probability"]}
            for row in rows if row["target_log_probability"] is not None]  # fmt: skip


def _formats(claim: Claim, evidence: Evidence) -> Sequence[str]:
    if not claim.formats:
        return [form for form in evidence.transfer if form not in evidence.beyond]
    return claim.formats if {*claim.formats} <= {*evidence.transfer} else ()
