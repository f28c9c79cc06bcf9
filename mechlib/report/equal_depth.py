"""Depth or lookup: whether the MLPs that look a fact up are the better place for an edit than others as deep.

Fact lookup's MLPs are early ones, so every comparison with later places compares depths as well. Here many places of as many
MLPs are edited alike, and a mixed model tells what overlap with fact lookup does at equal depth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import pandas as pd

from mechlib.report.aggregation import Rows, grouped
from mechlib.report.arm_outcome import arm_outcome
from mechlib.report.claims import Claim, Gates
from mechlib.report.gates import Evidence, arm_gates, overlap
from mechlib.report.tables import label, p_value
from mechlib.stats import MARGIN, Comparison, mixed

# What decides: overlap, at equal depth; an effect of depth may have a best place in the middle.
TERMS = ("overlap", "depth", "depth_squared")
# What else could stand for depth or explain what lasts: all models that are shown beside the one that decides.
MODELS = {
    "overlap alone": ("overlap",),
    "and depth": ("overlap", "depth"),
    "and depth squared (decides)": TERMS,
    "earliest and latest layer instead": ("overlap", "earliest", "latest"),
    "and norm of the change": (*TERMS, "norm"),
    "and steps of the edit": (*TERMS, "steps"),
}
CORRELATED = ("overlap", "depth", "earliest", "latest", "norm", "steps")
# Mean log odds that are nearer are alike, as they are printed.
_ALIKE = 5e-3
# With fewer places a model of three terms says nothing.
ENOUGH_PLACES = 10


@dataclass(frozen=True)
class AtEqualDepth:
    """What the model says of a claim. ``left_out``: places that a gate forbids, with its name.

    ``odds`` and ``shares``: an edit at fact lookup's MLPs minus one that has none of them, at equal depth.
    """

    odds: Comparison
    shares: Comparison
    places: int
    left_out: Mapping[str, str]
    stopped: str

    @property
    def said(self) -> str:
        """The gates, for readers."""
        out = "; ".join(f"{arm} ({reason})" for arm, reason in self.left_out.items())
        return f"{self.places} places" + (f"\nleft out: {out}" if out else "")


def places(evidence: Evidence, first: str) -> pd.DataFrame:
    """The arms that train MLPs alone, as many weights as ``first`` and in all forget sets the same: a line each.

    Columns: ``arm``; ``overlap`` with ``first`` (weighted Jaccard); ``depth``, the mean layer of the trained MLPs; the ``earliest``
    and the ``latest`` of them.
    """
    own, records = evidence.trains.get(first, {}), list[dict[str, Any]]()
    sizes = {found.parameters for found in own.values()}
    for arm, trained in evidence.trains.items():
        components = {found.components for found in trained.values()}
        alike = len(components) == 1 and {found.parameters for found in trained.values()} == sizes
        if alike and all(part.kind == "mlp" for part in next(iter(components))):
            layers = [part.layer for part in next(iter(components))]
            records.append({"arm": arm, "overlap": overlap(own, trained), "depth": fmean(layers),
                            "earliest": min(layers), "latest": max(layers)})  # fmt: skip
    return pd.DataFrame(records, columns=["arm", "overlap", "depth", "earliest", "latest"])


def points(claim: Claim, evidence: Evidence) -> pd.DataFrame:
    """The lines of :func:`places` by forget set (``forget_set``), of those sets that all places have, with what the claim compares.

    Columns besides: ``odds`` and ``shares``, means over ``facts``; ``depth_squared``, from the middle of all depths.
    """
    records: list[dict[str, Any]] = []
    table = places(evidence, claim.first)
    middle = float(table.depth.mean()) if len(table) else math.nan
    done = {str(arm): found for arm in table.arm if (found := arm_outcome(claim, evidence, str(arm)))}
    common = sorted(set[int].intersection(*(set(found.odds) for found in done.values()))) if done else []
    for place in (one for one in table.to_dict("records") if one["arm"] in done):
        odds, shares = done[place["arm"]].odds, done[place["arm"]].shares
        records += [{**place, "depth_squared": (place["depth"] - middle) ** 2, "forget_set": number, "odds": fmean(odds[number]),
                     "shares": fmean(shares[number]), "facts": len(odds[number])} for number in common]  # fmt: skip
    return pd.DataFrame(records, columns=[*table.columns, "depth_squared", "forget_set", "odds", "shares", "facts"])


def left_out(gates: Gates, claim: Claim, evidence: Evidence) -> dict[str, str]:
    """The places that a gate forbids, each with its name."""
    attacked = claim.measure == "relearning"
    stops = {arm: arm_gates(evidence, arm, gates, attacked).stops(gates) for arm in points(claim, evidence).arm.unique()}
    return {arm: reason for arm, reason in stops.items() if reason}


def at_equal_depth(gates: Gates, claim: Claim, evidence: Evidence) -> AtEqualDepth | None:
    """What overlap does at equal depth; ``None`` where too few places were edited, or they do not tell overlap from depth."""
    table, out = points(claim, evidence), left_out(gates, claim, evidence)
    used: Any = table[~table.arm.isin(list(out))]
    n_places, n_all = used.arm.nunique(), table.arm.nunique()
    if n_places < ENOUGH_PLACES:
        return None
    try:
        effects = [mixed(used, outcome, TERMS)["overlap"] for outcome in ("odds", "shares")]
    except ValueError:  # the places differ in too little
        return None
    n_sets, n_facts = used.forget_set.nunique(), int(used.drop_duplicates("forget_set").facts.sum())
    odds, shares = (Comparison(one.interval, one.narrow, one.p, 0.0, one.p, n_sets, n_facts, "lower", claim.margin or MARGIN)
                    for one in effects)  # fmt: skip
    few = "not edited alike" if n_places < gates.edited * n_all else ""
    return AtEqualDepth(odds, shares, n_places, out, "void" if evidence.void else few)


def model_table(table: pd.DataFrame, outcome: str) -> pd.DataFrame:
    """What overlap does to an outcome (``odds`` or ``shares``) in every one of ``MODELS``, for readers.

    ``table``: :func:`points` with the columns ``norm`` and ``steps``. "-": the places do not tell the terms apart.
    """
    lines = [(name, *_told(table, outcome, terms, "overlap")) for name, terms in MODELS.items()]
    return pd.DataFrame(lines, columns=["terms", "overlap, 0 to 1", "p"])


def single_terms(table: pd.DataFrame, outcome: str) -> pd.DataFrame:
    """What each term does to an outcome by itself, for readers: per layer, unit of norm, step; overlap: 0 to 1. Not judged."""
    lines = [(term, *_told(table, outcome, (term,), term)) for term in CORRELATED]
    return pd.DataFrame(lines, columns=["term alone", "effect", "p"])


def _told(table: pd.DataFrame, outcome: str, terms: Sequence[str], term: str) -> tuple[str, str]:
    """The effect of one of the terms with its interval, and its p; "-" where the places do not tell the terms apart."""
    try:
        found = mixed(table, outcome, terms)[term]
    except ValueError:
        return "-", "-"
    return str(found.interval), p_value(found.p)


def extremes(table: pd.DataFrame) -> str:
    """The places after which the least and the most of the old answer comes back, in words: all of them where several are alike."""
    means: Any = table.groupby("arm").odds.mean()
    if means.max() - means.min() < _ALIKE:
        return "as much comes back after every place"
    layers = table.drop_duplicates("arm").set_index("arm")
    least, most = (" and ".join(f"{label(str(arm))} (layers {layers.earliest[arm]} and {layers.latest[arm]})"
                                for arm, mean in means.items() if abs(mean - bound) < _ALIKE)
                   for bound in (means.min(), means.max()))  # fmt: skip
    return f"least comes back after {least}, most after {most}"


def title(found: Mapping[str, pd.DataFrame]) -> str:
    """:func:`extremes` of the points of each outcome, by what it is called."""
    told = [f"{name[0].lower()}{name[1:]} {extremes(table)}" for name, table in found.items() if len(table)]
    return f"Of the places, {'; '.join(told)}" if told else "No place was edited yet"


def correlations(table: pd.DataFrame) -> pd.DataFrame:
    """How far the terms say the same: Pearson's correlations over places and forget sets."""
    terms: Any = table[list(CORRELATED)]
    return terms.corr()


def with_changes(table: pd.DataFrame, values: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], curves: Rows) -> pd.DataFrame:
    """:func:`points` with ``norm``, of the change of an edit, and ``steps`` that it took, from the values and rows of edits."""
    where = ("localization", "forget_set")
    norms = {tuple(arm[name] for name in where): value["norm"] for arm, value in values}
    steps = {key: len(own) for key, own in grouped(curves, where).items()}
    keys = list(zip(table.arm, table.forget_set, strict=True))
    return table.assign(norm=[norms[key] for key in keys], steps=[steps[key] for key in keys])


def places_table(table: pd.DataFrame, left_out: Mapping[str, str]) -> pd.DataFrame:
    """Every place for readers, with means over forget sets, from the first layer to the last; ``table`` as of :func:`with_changes`."""
    means: Any = table.groupby("arm", sort=False)[["overlap", "depth", "odds", "shares", "norm", "steps"]].mean()
    means = means.sort_values(["depth", "overlap"]).reset_index()
    layers = table.groupby("arm")[["earliest", "latest"]].first()
    means.insert(1, "layers", [" and ".join(map(str, dict.fromkeys(layers.loc[arm]))) for arm in means.arm])
    means["gate"] = [left_out.get(arm, "passed") for arm in means.arm]
    named = {"arm": "place", "odds": "log odds", "shares": "true answers"}
    return means.assign(arm=means.arm.map(label)).rename(columns=named)


def edited(count: int) -> str:
    """How many places were edited, in words, and whether that is a basis for anything."""
    few = "" if count >= ENOUGH_PLACES else f", too few to tell depth from lookup (at least {ENOUGH_PLACES})"
    return f"{count} place{'s' * (count != 1)}{few}"


def stacked(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Tables of the same columns below each other."""
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
