"""What can still be read inside an edited model: rows of probes, head projection and depth to tables, with void layers marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mechlib.report.aggregation import Rows, aggregate, fact_values, grouped
from mechlib.report.differences import IN_WORDS, in_words
from mechlib.report.tables import interval_table, label
from mechlib.stats import CHANCE_MARGIN, compare, wilson
from mechlib.stats.comparison import Better

CANDIDATES = 4
# A layer's mean depth needs a claim about at least so large a share of the facts.
LEAST_CLAIMED = 0.5
_RUN = ("localization", "forget_set", "seed")


def audit(rows: Rows, name: str, position: str | None = None) -> list[Mapping[str, Any]]:
    """The rows of one audit (``probe``, ``projection`` or ``depth``); of probes those at one ``position``."""
    return [row for row in rows if row["audit"] == name and position in (None, row.get("position"))]


def measured(tables: Mapping[str, pd.DataFrame], by: Sequence[str] = ("localization",)) -> pd.DataFrame:
    """Tables under one another, each called by its name in a column ``measure``."""
    parts = [table.assign(measure=name) for name, table in tables.items() if len(table)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*by, "measure", "share", "low", "high"])


def probe_quality(rows: Rows) -> pd.DataFrame:
    """How good the probes are: ``share`` of training facts right when cross-validated, ``control`` with shuffled answers.

    One line a localization and layer, averaged over runs, with a Wilson interval over the facts of
    one run. ``void``: the interval's lower end is not above the control by ``CHANCE_MARGIN``.
    """
    runs = {(row["localization"], row["layer"], row["forget_set"], row["seed"]): row for row in rows}
    records: list[dict[str, Any]] = []
    for (key, layer), probes in grouped(list(runs.values()), ["localization", "layer"]).items():
        n = min(row["held_out_total"] for row in probes)
        share, control = (
            float(np.mean([row[name] / row["held_out_total"] for row in probes])) for name in ("held_out_correct", "control_correct")
        )
        found = wilson(share * n, n)
        void = found.low < control + CHANCE_MARGIN
        records.append({"localization": key, "layer": layer, "share": share, "low": found.low, "high": found.high,
                        "control": control, "n": n, "void": void})  # fmt: skip
    return pd.DataFrame(records, columns=["localization", "layer", "share", "low", "high", "control", "n", "void"])


def readable(rows: Rows) -> dict[str, list[int]]:
    """Layers by localization at which a probe is not void, neither in this model nor in the unedited one."""
    found: dict[str, list[int]] = {}
    for line in probe_quality(rows).to_dict("records"):
        found.setdefault(line["localization"], []).extend([] if line["void"] else [line["layer"]])
    before = found.get("unedited", [])
    return {key: [layer for layer in layers if layer in before] for key, layers in found.items()}


def probe_shares(rows: Rows) -> pd.DataFrame:
    """Share of facts whose true answer, and whose edit target, the probe says, by localization and layer; void layers are marked."""
    by = ["localization", "layer"]
    said = {"true answer": aggregate(rows, by, "correct"), "edit target": aggregate(rows, by, "edited")}
    return measured(said, by).merge(probe_quality(rows)[[*by, "void"]], on=by)


def probe_panels(rows: Rows) -> dict[str, pd.DataFrame]:
    """What a figure shows of probes at one position: how good they are, and what they say about the edited facts."""
    said: Any = probe_shares(rows)
    quality: dict[str, Any] = {"other facts, cross-validated": probe_quality(rows)}
    return quality | {f"says the {name}": said[said.measure == name] for name in ("true answer", "edit target")}


def probe_table(rows: Rows) -> pd.DataFrame:
    """Reader's table: shares over the readable layers of each model, and over all layers as the paper takes them.

    A fact counts with the share of these layers and seeds at which it is read.
    """
    layers, depth = readable(rows), len({row["layer"] for row in rows})
    kept = [row for row in rows if row["layer"] in layers[row["localization"]]]
    parts = {f"{name}{where}": aggregate(part, ["localization"], outcome)
             for part, where in ((kept, ""), (rows, ", all layers"))
             for name, outcome in (("true answer", "correct"), ("edit target", "edited"))}  # fmt: skip
    table = interval_table(measured(parts), ["localization"], "measure").reindex(columns=[label(name) for name in parts])
    counts = {label(key): f"{len(found)} of {depth}" for key, found in layers.items()}
    table.insert(0, "readable layers", [counts[name] for name in table.index])
    return table.astype(object).fillna("void")


def projected(rows: Rows, candidates: int = CANDIDATES) -> list[dict[str, Any]]:
    """Head projection, one row a fact and layer: what is among the likeliest tokens there.

    ``true answer``, ``edit target`` and, as the control, ``another option``: the mean over options
    that are neither; ``leads``: the true answer is the likeliest of the options. ``None`` where there is
    no such option. Raises ``ValueError`` if the rows were made with another number of ``candidates``.
    """
    if any(row["found"] != (row["rank"] < candidates) for row in rows):
        raise ValueError(f"these rows were not made with {candidates} candidates a layer")
    return [
        {**{name: row[name] for name in (*_RUN, "subject", "layer")},
         "true answer": row["found"],
         "edit target": None if row["target_rank"] is None else row["target_rank"] < candidates,
         "another option": float(np.mean([rank < candidates for rank in row["other_ranks"]])) if row["other_ranks"] else None,
         "leads": None if row["option_rank"] is None else row["option_rank"] == 0}
        for row in rows
    ]  # fmt: skip


def extracted(rows: Rows, candidates: int = CANDIDATES) -> list[dict[str, Any]]:
    """Head projection as an attack, one row a fact: the same outcomes as of :func:`projected` at any of the layers."""
    found: list[dict[str, Any]] = []
    for names, own in grouped(rows, (*_RUN, "subject")).items():
        others = np.array([row["other_ranks"] for row in own]) < candidates
        target = [row["target_rank"] for row in own if row["target_rank"] is not None]
        found.append({
            **dict(zip((*_RUN, "subject"), names, strict=True)),
            "true answer": any(row["rank"] < candidates for row in own),
            "edit target": min(target) < candidates if target else None,
            "another option": float(others.any(axis=0).mean()) if others.size else None,
        })  # fmt: skip
    return found


def outcome_shares(rows: Rows, by: Sequence[str], outcomes: Sequence[str]) -> pd.DataFrame:
    """:func:`aggregate` of several outcomes under one another (column ``measure``)."""
    return measured({name: aggregate(rows, by, name) for name in outcomes}, by)


def tells_nothing(rows: Rows, candidates: int = CANDIDATES) -> bool:
    """Whether head projection is void: in the unedited model true answers are not clearly found more often than other options."""
    unedited = [row for row in extracted(rows, candidates) if row["localization"] == "unedited" and row["another option"] is not None]
    if not unedited:
        return False
    true, other = (aggregate(unedited, ["localization"], name).iloc[0] for name in ("true answer", "another option"))
    return bool(true["low"] < other["share"] + CHANCE_MARGIN)


def erasure_shares(rows: Rows) -> pd.DataFrame:
    """Mean depth of erasure by localization and layer, over the facts about which a claim is made.

    ``void``: that is less than ``LEAST_CLAIMED`` of the facts, because corruption takes too little
    there; then there is no ``share``.
    """
    records: list[dict[str, Any]] = []
    for (key, layer), found in grouped(rows, ["localization", "layer"]).items():
        claimed = [row["erased"] for row in found if row["erased"] is not None]
        void = len(claimed) < LEAST_CLAIMED * len(found)
        records.append({"localization": key, "layer": layer, "share": None if void else float(np.mean(claimed)),
                        "claimed": len(claimed), "n": len(found), "void": void})  # fmt: skip
    return pd.DataFrame(records, columns=["localization", "layer", "share", "claimed", "n", "void"])


def erasure_scores(rows: Rows) -> list[dict[str, Any]]:
    """One number a fact: ``erased`` over layers, each weighted by what corruption takes there; facts without any claim are left out."""
    facts = grouped([row for row in rows if row["erased"] is not None], (*_RUN, "subject"))
    return [
        {**dict(zip((*_RUN, "subject"), names, strict=True)),
         "erased": float(np.average([row["erased"] for row in own], weights=[row["clean"] - row["corrupted"] for row in own]))}
        for names, own in facts.items()
    ]  # fmt: skip


@dataclass(frozen=True)
class Measure:
    """One number of a row that two localizations are compared by, and which of them the claim expects to be ``better``."""

    rows: Rows
    outcome: str
    better: Better


def left_inside(rows: Rows) -> dict[str, Measure]:
    """What the claim "less is left inside" is tested on: probes at the layers readable in every model, head projection, depth.

    Head projection is no measure where it :func:`tells_nothing`.
    """
    probes, projection = audit(rows, "probe", "prompt"), audit(rows, "projection")
    layers = readable(probes)
    common = [row for row in probes if all(row["layer"] in found for found in layers.values())]
    found = [] if tells_nothing(projection) else extracted(projection)
    return {
        "probe says the true answer": Measure(common, "correct", "lower"),
        "head projection finds the true answer": Measure(found, "true answer", "lower"),
        "depth of erasure": Measure(erasure_scores(audit(rows, "depth")), "erased", "higher"),
    }


def comparisons(measures: Mapping[str, Measure], first: str, others: Sequence[str]) -> pd.DataFrame:
    """``first`` minus each other localization in every measure, described; a measure without rows is left out."""
    columns, lines = ["measure", "expected", f"{label(first)} minus", *IN_WORDS], list[tuple[Any, ...]]()
    for name, measure in measures.items():
        arms = {key: fact_values([row for row in measure.rows if row["localization"] == key], measure.outcome) for key in (first, *others)}
        lines += [
            (name, measure.better, label(key), *in_words(compare(arms[first], arms[key], measure.better))[:-1])
            for key in others if arms[first]
        ]  # fmt: skip
    return pd.DataFrame(lines, columns=columns)
