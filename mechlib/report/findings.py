"""Titles of figures: what each shows, as a sentence that is computed from what is drawn and changes with it."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from mechlib.components import Component, Localization
from mechlib.patching.scores import Scores
from mechlib.report import numerals
from mechlib.report.aggregation import Rows, aggregate, grouped
from mechlib.report.robustness import UNEDITED
from mechlib.report.tables import joined, named

# Shares that differ by less are told as one.
_SAME = 5e-3
_BROKEN = "The attack broke every edited model"


def span(what: str, values: Mapping[str, float], form: str = ".2f") -> str:
    """``What: 0.12 (causal tracing) to 0.28 (random MLPs); 0.87 unedited``: least and most over the edits; one number where all agree."""
    edits = {key: value for key, value in values.items() if key != UNEDITED and value == value}
    if not edits:
        return f"{what}: nothing to compare"
    low, high = min(edits.values()), max(edits.values())
    alike = high - low < _SAME
    told = f"{numerals.told(low, form)} after every edit" if alike else f"{_at(edits, low, form)} to {_at(edits, high, form)}"
    beside = values.get(UNEDITED)
    return f"{what}: {told}" + ("" if beside is None or beside != beside else f"; {numerals.told(beside, form)} unedited")


def of_edits(what: str, table: pd.DataFrame, column: str = "share", form: str = ".2f") -> str:
    """:func:`span` of a table's ``column`` by localization, averaged where a localization has several lines."""
    values: Any = table.groupby("localization", sort=False)[column].mean() if len(table) else pd.Series(dtype=float)
    return span(what, values.to_dict(), form)


def by_layer(what: str, table: pd.DataFrame) -> str:
    """:func:`of_edits` over layers: of those that are not void, the mean."""
    whole: Any = table[~table.void.astype(bool)] if "void" in table else table
    return of_edits(f"{what}, mean over layers", whole)


def answers(what: str, rows: Rows, outcome: str, formats: Sequence[str]) -> str:
    """:func:`span` of an outcome of the edited facts in some formats, which count equally."""
    own = [row for row in rows if row["group"] == "forget" and row["format"] in formats]
    return of_edits(what, aggregate(own, ["localization", "format"], outcome)) if own else f"{what}: no format tells"


def attacked(what: str, outcomes: pd.DataFrame, setting: str, step: int) -> str:
    """:func:`span` of true answers under one setting of an attack, over the models that it did not break."""
    table: Any = outcomes[(outcomes.null == "") & (outcomes.setting == setting) & (outcomes.step == step)]
    whole = table[~table.void.astype(bool)]
    if not len(whole):
        return "The attack broke every model, also the unedited one" if UNEDITED in set(table.localization) else _BROKEN
    if not len(whole[whole.localization != UNEDITED]):
        return _BROKEN
    return of_edits(what, whole, "forget") + (" (models that it broke left out)" if len(whole) < len(table) else "")


def reached(curves: Rows, stop_at: float, stops: bool = True) -> str:
    """How many edits learned their new answers, by the loss before their last update."""
    runs = grouped(curves, ["localization", "forget_set", "seed", "part"])
    if not stops or stop_at >= 1:
        return of_edits("Forget loss before the last update", _last(runs))
    far = sum(steps[-1]["forget"] <= -math.log(stop_at) for steps in runs.values())
    told = "Every edit" if far == len(runs) else f"{far} of {len(runs)} edits" if far else "No edit"
    return f"{told} reached the success at which training stops"


def sides(table: pd.DataFrame, by: str) -> str:
    """In each part of a table of differences, which intervals (``low``, ``high``) lie below zero, and which above, by their ``rival``."""
    told: list[str] = []
    for name, part in table.groupby(by, sort=False) if len(table) else ():
        beside = {where: [named(rival).replace("_", " ") for rival in own.rival]
                  for where, own in (("below", part[part.high < 0]), ("above", part[part.low > 0]))}  # fmt: skip
        said = [f"{where} zero against {joined(rivals)}" for where, rivals in beside.items() if rivals]
        told.append(f"{name}, {' and '.join(said) or 'none beyond zero'}")
    return f"Differences: {'; '.join(told)}" if told else "No difference was measured"


def strongest(scores: Sequence[Scores], called: Sequence[str]) -> str:
    """The component with the strongest effect by each method."""
    told = [f"{max(one.values, key=lambda part: abs(one.values[part]))} by {name}" for one, name in zip(scores, called, strict=True)]
    return f"What moves the answer most: {joined(told)}" if told else "No scores were needed"


def where_strongest(scores: Scores) -> str:
    """At which positions the outputs of attention and of MLPs move most of the answer, summed over layers."""
    told: list[str] = []
    for kind, called in (("mlp", "MLPs"), ("attn", "attention")):
        sums: dict[str, float] = {}
        for component, at in scores.positions.items():
            for position, value in at.items() if component.kind == kind else ():
                sums[position] = sums.get(position, 0.0) + value
        if sums:
            told.append(f"{called} at {max(sums, key=lambda position: sums[position])} ({numerals.decimal(max(sums.values()))})")
    return f"Most comes back from {' and '.join(told)}, summed over layers" if told else "No position was traced"


def shared(found: Mapping[str, Localization]) -> str:
    """Which localization trains most of fact lookup's components, and how many of them."""
    lookup = next((set(value.components) for key, value in found.items() if key.split("/")[0] == "fact_lookup"), set[Component]())
    others = {key: len(lookup & set(value.components)) for key, value in found.items() if key.split("/")[0] != "fact_lookup"}
    if not lookup or not others:
        return "One localization alone"
    most = max(others.values())
    names = list(dict.fromkeys(named(key.split("/")[0]) for key, count in others.items() if count == most))
    if not most:
        return f"None of the others trains any of fact lookup's {len(lookup)} components"
    verb = "trains" if len(names) == 1 else "train"
    return f"Of fact lookup's {len(lookup)} components, {joined(names)} {verb} {most}, more than any other"


def closest(agreement: pd.DataFrame) -> str:
    """Which estimate of effects is closest to exact patching, over MLPs and over heads."""
    table: Any = agreement[~agreement.method.str.startswith("activation_patching")]
    told: list[str] = []
    for kind, called in (("mlp", "MLPs"), ("head", "heads")):
        own: list[dict[Hashable, Any]] = table[table.kind == kind].to_dict("records")
        if own:
            best = max(row["share"] for row in own)
            alike = [f"{named(row['method'])} ({numerals.decimal(row['share'])}, {row['reference'].removeprefix('exact ')})" for row in own
                     if best - row["share"] < _SAME]  # fmt: skip
            told.append(f"over {called} {joined(alike)}")
    return f"Closest to exact patching: {', '.join(told)}" if told else "Nothing to compare"


def best_circuits(areas: Mapping[str, float]) -> str:
    """Which method's best components carry most of the answer, by the area under its curve."""
    known = {key: value for key, value in areas.items() if value == value}
    if not known:
        return "No circuit was tested"
    best = max(known.values())
    alike = [named(key) for key, area in known.items() if best - area < _SAME]
    return f"Most faithful are the circuits that are ranked by {joined(alike)} (CPR {numerals.decimal(best)})"


def _last(runs: Mapping[tuple[Any, ...], Sequence[Mapping[str, Any]]]) -> pd.DataFrame:
    return pd.DataFrame([{"localization": key, "share": steps[-1]["forget"]} for (key, *_), steps in runs.items()])


def _at(values: Mapping[str, float], bound: float, form: str) -> str:
    return f"{numerals.told(bound, form)} ({joined([named(key) for key, value in values.items() if abs(value - bound) < _SAME])})"
