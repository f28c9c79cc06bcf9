"""Every gate of every arm in one table: what has to be looked at before a verdict is."""

from __future__ import annotations

import pandas as pd

from mechlib.report import numerals
from mechlib.report.aggregation import FACT, average
from mechlib.report.gates import Evidence, kept_by_attack, kept_by_edit, overlap, reached, taught
from mechlib.report.tables import label, leading


def gate_table(evidence: Evidence, success: float) -> pd.DataFrame:
    """One line an arm: what it trains in common with the leading arm, and how it did at each gate. Shares come with 95 % intervals.

    ``success`` is the probability that counts as edited. ``floor`` is the share of true answers about the never-known facts that
    were edited beside the set, after the attack: what relearning gives of itself. "-": no such facts, or no attack.
    """
    lead = leading(evidence.arms)
    attacked = bool(evidence.relearning)
    lines: list[dict[str, str]] = []
    for arm in evidence.arms:
        done = list(reached(evidence, arm, success).values())
        line = {
            "localization": label(arm),
            "overlap": "-" if arm == lead else numerals.decimal(overlap(evidence.trains.get(lead, {}), evidence.trains.get(arm, {}))),
            "edited": f"{sum(done):g} of {len(done)}",
            "kept by the edit": str(kept_by_edit(evidence, arm)),
            "taught half": str(taught(evidence, arm, evidence.last)) if attacked else "-",
            "kept by the attack": str(kept_by_attack(evidence, arm, evidence.last)) if attacked else "-",
            "floor": _floor(evidence, arm) if attacked else "-",
        }
        lines.append(line)
    return pd.DataFrame(lines)


def _floor(evidence: Evidence, arm: str) -> str:
    own = evidence.attacked(arm, "floor", evidence.last)
    return str(average(own, "correct", fact=FACT)[0]) if own else "-"
