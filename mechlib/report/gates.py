"""What must hold before two arms may be compared: they train different weights, were edited alike, stayed whole, and were taught."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import fmean
from typing import Any

from mechlib.components import Localization, WeightSlice, read_architecture
from mechlib.report.aggregation import FACT, Rows, average, fact_values, grouped
from mechlib.report.claims import Gates
from mechlib.report.robustness import BEFORE, UNEDITED, Setting, outcomes, shared_setting
from mechlib.runs.once import once
from mechlib.stats import ENOUGH_SETS, Interval, clustered


@dataclass(frozen=True)
class Evidence:
    """What was run of one study. ``prompting`` and ``relearning`` are empty where it was not.

    ``trained``: the format of the edits; ``transfer``: those others in which the unedited model is above
    chance; ``trains``: what each arm trains, by forget set;
    ``sites``: where a set's facts were planted, if they were; ``void``: the unedited model cannot answer in the format ``trained``;
    ``beyond``: formats that count for those claims alone which ask for them, and ``able``: what share of the facts that it knows the
    unedited model gives in them, where it was asked; ``inside``: what probes read, and ``zeroed``: answers of models with weights at
    zero, of claims about these (see :mod:`mechlib.report.inside`);
    ``missed``: of places where facts were planted, each in a model of its own, what a method does not name of the planted weights, and
    what it names besides (shares of what was planted, and of what it names), and ``learned``: the share of the taught facts that are
    known there.
    """

    task: str
    trained: str
    prompting: Rows = ()
    relearning: Rows = ()
    transfer: tuple[str, ...] = ()
    trains: Mapping[str, Mapping[int, Localization]] = field(default_factory=dict)
    void: bool = False
    sites: Mapping[int, str] = field(default_factory=dict)
    beyond: tuple[str, ...] = ()
    able: Mapping[str, Interval] = field(default_factory=dict)
    inside: Rows = ()
    zeroed: Rows = ()
    missed: Mapping[str, Mapping[int, tuple[float, float]]] = field(default_factory=dict)
    learned: Mapping[int, float] = field(default_factory=dict)

    @cached_property
    def arms(self) -> list[str]:
        """The localizations that were edited, or that looked for planted facts, in the order of the rows."""
        return [key for key in dict.fromkeys([*(row["localization"] for row in self.prompting), *self.missed]) if key != UNEDITED]

    def arm(self, name: str) -> str | None:
        """The arm that a claim calls ``name``, if it was run."""
        return name if name in self.arms else None

    def about(self, outcomes: Collection[str]) -> Evidence:
        """The same without what only other outcomes than these rest on: what a page that decides these asks for."""
        inside, zeroed = ("latent knowledge" in outcomes, "weights masked" in outcomes)
        return replace(self, inside=self.inside if inside else (), zeroed=self.zeroed if zeroed else ())

    def where_learned(self, least: float) -> Evidence:
        """The same without places where less than this share of the taught facts is known: what is not there cannot be found."""
        there = {arm: {place: found for place, found in own.items() if self.learned[place] >= least} for arm, own in self.missed.items()}
        return replace(self, missed=there)

    def asked(self, arm: str, group: str, formats: Collection[str]) -> Rows:
        """What an arm (or the unedited model) answers about a group of facts in some formats."""
        return [row for row in self._asked.get((arm, group), ()) if row["format"] in formats]

    def attacked(self, arm: str, group: str, setting: Setting) -> Rows:
        """What an arm (or the unedited model) answers about a group of facts at a setting and step of relearning, not of its nulls."""
        return self._attacked.get((arm, group, *setting), ())

    # Every comparison asks for two arms of many, so the rows are sorted out once.
    @cached_property
    def _asked(self) -> Mapping[tuple[Any, ...], Rows]:
        return grouped(self.prompting, ["localization", "group"])

    @cached_property
    def _attacked(self) -> Mapping[tuple[Any, ...], Rows]:
        return grouped([row for row in self.relearning if not row.get("null")], ["localization", "group", "setting", "step"])

    @cached_property
    def last(self) -> Setting:
        """The setting of relearning under which arms are compared, at its last step.

        Of several settings it is the one of :func:`mechlib.report.robustness.shared_setting`.
        """
        steps: dict[str, int] = {}
        for setting, step in {(row["setting"], row["step"]) for row in self.relearning}:
            steps[setting] = max(step, steps.get(setting, 0))
        if len(tried := [(setting, step) for setting, step in steps.items() if setting != BEFORE]) == 1:
            return tried[0]
        return shared_setting(outcomes([row for row in self.relearning if row["step"] == steps[row["setting"]]]))


def overlap(first: Mapping[int, Localization], second: Mapping[int, Localization]) -> float:
    """Jaccard index of the weights that two arms train, averaged over their forget sets; nan where that is not known."""
    shared = first.keys() & second.keys()
    return fmean(_jaccard(first[key], second[key]) for key in shared) if shared else math.nan


def _jaccard(one: Localization, other: Localization) -> float:
    arch = read_architecture(one.provenance["architecture"])
    mine, theirs = ([block for part in found.components for block in part.weights(arch)] for found in (one, other))
    both = sum(_common(block, another) for block in mine for another in theirs if block.parameter == another.parameter)
    return both / (sum(block.size for block in (*mine, *theirs)) - both)


def _common(one: WeightSlice, other: WeightSlice) -> int:
    (top, bottom, left, right), (above, below, west, east) = one.bounds, other.bounds
    return max(0, min(bottom, below) - max(top, above)) * max(0, min(right, east) - max(left, west))


@once
def reached(evidence: Evidence, arm: str, success: float) -> dict[int, float]:
    """The share of an arm's edits (one a seed) that got there, by forget set: the geometric mean of their targets' probabilities."""
    edits = grouped(evidence.asked(arm, "forget", [evidence.trained]), ["forget_set", "seed"])
    found: dict[int, list[bool]] = {}
    for (number, _), rows in edits.items():
        found.setdefault(number, []).append(math.exp(fmean(row["target_log_probability"] for row in rows)) >= success)
    return {number: fmean(done) for number, done in found.items()}


@dataclass(frozen=True)
class Kept(Interval):
    """A share that is kept, with its interval over ``n_sets`` forget sets, by which gates decide.

    Readers see the interval where there are enough sets to tell one, and none of it below zero, where no share is.
    """

    n_sets: int = 0

    def text(self, digits: int = 2) -> str:
        """As of an interval."""
        if self.n_sets < ENOUGH_SETS:
            return f"{self.estimate:.{digits}f}"
        return Interval(self.estimate, max(0.0, self.low), self.high, self.level).text(digits)


def kept_by_attack(evidence: Evidence, arm: str, setting: Setting) -> Kept:
    """How much of its maintain accuracy an edited model keeps under relearning, over forget sets (95 %)."""
    before, after = (evidence.attacked(arm, "maintain", at) for at in ((BEFORE, 0), setting))
    return _kept(before, after)


def kept_by_edit(evidence: Evidence, arm: str) -> Kept:
    """How much of the unedited model's maintain accuracy an edit keeps in the trained format, over forget sets (95 %)."""
    before, after = (evidence.asked(key, "maintain", [evidence.trained]) for key in (UNEDITED, arm))
    return _kept(before, after)


def _kept(before: Rows, after: Rows) -> Kept:
    """A model that had nothing to keep kept nothing; where no facts are maintained, nothing is known."""
    had, left = (fact_values(rows, "correct", FACT) for rows in (before, after))
    ratios = {number: [fmean(left[number]) / fmean(own) if fmean(own) else 0.0] for number, own in had.items()}
    found = clustered(ratios) if ratios else Interval(math.nan, -math.inf, math.inf)
    return Kept(found.estimate, found.low, found.high, found.level, len(ratios))


def taught(evidence: Evidence, arm: str, setting: Setting) -> Interval:
    """The share of true answers about the half that relearning teaches (95 %)."""
    return average(evidence.attacked(arm, "relearned", setting), "correct", fact=FACT)[0]


# Why an arm may not be compared, in the order in which it is looked at.
STOPS = ("not edited alike", "model broken", "attack failed")


@dataclass(frozen=True)
class ArmGates:
    """What one arm did at each gate: the share of its ``edited`` sets, and intervals over sets.

    ``kept``: of the maintain accuracy, by the edit and, where an attack counts, by the attack; ``taught``: by the attack.
    """

    edited: float
    kept: tuple[Interval, ...]
    taught: Interval | None = None

    def stops(self, gates: Gates) -> str:
        """The first gate that forbids a verdict; "" if none does."""
        broken = any(one.high < gates.kept or math.isnan(one.estimate) for one in self.kept)
        failed = self.taught is not None and self.taught.estimate < gates.taught
        return next((why for why, holds in zip(STOPS, (self.edited < gates.edited, broken, failed), strict=True) if holds), "")


@once
def arm_gates(evidence: Evidence, arm: str, gates: Gates, attacked: bool) -> ArmGates:
    """One arm at every gate; ``attacked``: whether what is compared is what relearning brings back."""
    done = list(reached(evidence, arm, gates.success).values())
    edited, kept = sum(done) / len(done), kept_by_edit(evidence, arm)
    if not attacked:
        return ArmGates(edited, (kept,))
    setting = evidence.last
    return ArmGates(edited, (kept, kept_by_attack(evidence, arm, setting)), taught(evidence, arm, setting))
