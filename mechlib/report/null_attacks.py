"""An attack beside its nulls: whether what comes back is due to the answers that the attacker holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from mechlib.report.aggregation import FACT, Rows, average, grouped
from mechlib.report.robustness import UNEDITED, never_group
from mechlib.report.sentences import listed
from mechlib.report.tables import label
from mechlib.stats import Interval

_ATTACK, _NEVER = "true answers", "never known"


@dataclass(frozen=True)
class Beside:
    """One localization on the facts of the same halves of forget sets: shares of true answers (95 %), by what was done.

    ``shares``: after the attack itself about what it was not told (``true answers``) and about never-known facts, then by the name of
    each null; those that have no rows are left out. ``n_sets`` and ``n_facts`` are of the first.
    """

    localization: str
    n_sets: int
    n_facts: int
    shares: Mapping[str, Interval]

    @property
    def attack(self) -> float:
        """What the attack itself brought back."""
        return self.shares[_ATTACK].estimate

    @property
    def null(self) -> float:
        """The most that a null brought back."""
        return max((one.estimate for name, one in self.shares.items() if name not in (_ATTACK, _NEVER)), default=0.0)


def beside_nulls(rows: Rows, nulls: Rows, setting: str, step: int) -> list[Beside]:
    """An attack at a setting and step with the knowledge and without it, on the halves that the ``nulls`` were run on (all without any)."""
    halves = {(row["forget_set"], row["fold"]) for row in nulls or rows}
    here = [{"null": "", **row} for row in (*rows, *nulls)
            if (row["setting"], row["step"]) == (setting, step) and (row["forget_set"], row["fold"]) in halves]  # fmt: skip
    asked = {_ATTACK: ("", "forget"), _NEVER: ("", never_group(rows)), **{row["null"]: (row["null"], "forget") for row in nulls}}
    parts = grouped(here, ["localization", "null", "group"])
    found: list[Beside] = []
    for key in dict.fromkeys(row["localization"] for row in here if not row["null"]):
        own = {name: parts[key, *which] for name, which in asked.items() if (key, *which) in parts}
        shares = {name: average(some, "correct", fact=FACT) for name, some in own.items()}
        sets = len({row["forget_set"] for row in own[_ATTACK]})
        found.append(Beside(key, sets, shares[_ATTACK][1], {name: share for name, (share, _) in shares.items()}))
    return found


def null_table(found: Sequence[Beside]) -> pd.DataFrame:
    """:func:`beside_nulls` for readers."""
    return pd.DataFrame([{"localization": label(one.localization), "forget sets": one.n_sets, "facts": one.n_facts,
                          **{name: str(share) for name, share in one.shares.items()}} for one in found])  # fmt: skip


def without_knowledge(found: Sequence[Beside]) -> str:
    """The edits after which a null brings back at least as much as the attack, in words; apart, where the attack does nothing."""
    edits = [one for one in found if one.localization != UNEDITED]
    if all(set(one.shares) <= {_ATTACK, _NEVER} for one in edits):
        return "No null was run."
    nothing = [one.localization for one in edits if not one.attack]
    as_much = [one.localization for one in edits if one.attack and one.null >= one.attack]
    told = [f"A null brings back at least as much as the attack after an edit at: {listed(as_much)}."] if as_much else []
    told += [f"The attack brings back nothing, so that no null could bring back less, after: {listed(nothing)}."] if nothing else []
    return " ".join(told) or "After every edit the attack brings back more than any null."
