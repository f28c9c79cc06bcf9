"""What a claim compares, by arm: log p(true) - log p(target), which decides, and the share of true answers beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mechlib.report.aggregation import FACT, SUBJECT, Rows, fact_values
from mechlib.report.claims import MISSED, Claim
from mechlib.report.gates import Evidence
from mechlib.report.inside import above_both, selective
from mechlib.report.robustness import BEFORE, Setting
from mechlib.runs.once import once
from mechlib.stats import Values


@dataclass(frozen=True)
class ArmOutcome:
    """One arm: ``odds`` in nats and ``shares``, a number a fact, by forget set.

    Of a method that looked for planted facts both are shares, one number a place: what it misses, and what it names in vain.
    """

    odds: Values
    shares: Values


def arm_outcome(claim: Claim, evidence: Evidence, arm: str, beside: str = "") -> ArmOutcome | None:
    """What an arm did by the outcome of a claim; ``None`` where the rows are not there, or the outcome is none of rows.

    ``beside``: the arm that it is compared with, on which depends what counts of outcomes that are no answers.
    """
    found = None
    if claim.measure == "relearning" and evidence.relearning and claim.attack in ("", evidence.last[0]):
        found = relearned(evidence, arm, evidence.last)
    elif claim.measure == "transfer" and (formats := _formats(claim, evidence)):
        found = _transferred(evidence, arm, tuple(formats))
    elif claim.measure == "latent knowledge":
        found = _averaged(above_both(evidence, arm, beside), SUBJECT, ["layer"])
    elif claim.measure == "weights masked":
        found = _averaged(selective(evidence, arm, beside), FACT, ["size"])
    elif claim.measure == MISSED:
        own = evidence.missed.get(arm, {})
        found = ArmOutcome({place: [missed] for place, (missed, _) in own.items()}, {place: [vain] for place, (_, vain) in own.items()})
    return found if found and found.odds else None


@once
def relearned(evidence: Evidence, arm: str, setting: Setting = (BEFORE, 0)) -> ArmOutcome:
    """What an arm answers about the half that relearning does not teach, at a setting and step of it or (as usual) before it."""
    return _outcome(evidence.attacked(arm, "forget", setting))


@once
def _transferred(evidence: Evidence, arm: str, formats: tuple[str, ...]) -> ArmOutcome:
    return _outcome(evidence.asked(arm, "forget", formats), ["format"])


def _outcome(rows: Rows, within: Sequence[str] = ()) -> ArmOutcome:
    return _averaged(with_odds(rows), FACT, within)


def _averaged(rows: Rows, fact: Sequence[str], within: Sequence[str]) -> ArmOutcome:
    return ArmOutcome(fact_values(rows, "odds", fact, within), fact_values(rows, "correct", fact, within))


def with_odds(rows: Rows) -> list[Mapping[str, Any]]:
    """Rows that have an edit target, with ``odds``, log p(true) - log p(target)."""
    return [{**row, "odds": row["log_probability"] - row["target_log_probability"]}
            for row in rows if row["target_log_probability"] is not None]  # fmt: skip


def _formats(claim: Claim, evidence: Evidence) -> Sequence[str]:
    if not claim.formats:
        return [form for form in evidence.transfer if form not in evidence.beyond]
    return claim.formats if {*claim.formats} <= {*evidence.transfer} else ()
