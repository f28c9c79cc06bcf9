"""Localizing again: whether methods find in an edited model what was edited."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import pandas as pd

from mechlib.components import Component, Localization, read_architecture
from mechlib.report import numerals
from mechlib.report.aggregation import Rows, grouped
from mechlib.report.robustness import UNEDITED
from mechlib.report.seekers import layers
from mechlib.report.tables import label, named
from mechlib.runs.stages.relocalized import LOOKUP

Values = Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]
Trained = Mapping[str, Mapping[int, Localization]]
_SHARES = ("trained of what is named, before", "trained of what is named, after", "trained of all")


def named_again(values: Values, trained: Trained) -> pd.DataFrame:
    """What each method names before an edit and after it, a line a method and arm, averaged over forget sets.

    ``values``: those of the runs that localize again, with the columns ``localization`` and ``forget_set``; ``trained``: what each arm
    trained, by forget set. Columns: ``method``, ``edited``, ``sets``; ``before`` and ``after``, the share of the weights that the method
    names that were trained, in the unedited and in the edited model; ``chance``, the share of all weights that were; ``names``, the
    components that it names in the edited model of the first forget set. A method that names nothing in one of the two has no such set.
    """
    found = {(columns["localization"], columns["forget_set"]): value["found"] for columns, value in values}
    records: list[dict[str, Any]] = []
    for method in dict.fromkeys(key for own in found.values() for key in own):
        for arm, sets in trained.items():
            numbers = [number for number in sets if all(method in found.get((key, number), {}) for key in (UNEDITED, arm))]
            if not numbers:
                continue
            at = {key: [Localization.from_json(found[key, number][method]) for number in numbers] for key in (UNEDITED, arm)}
            shares = {key: fmean(_share(one, sets[number]) for number, one in zip(numbers, own, strict=True)) for key, own in at.items()}
            records.append({"method": method, "edited": arm, "sets": len(numbers), "before": shares[UNEDITED], "after": shares[arm],
                            "chance": fmean(_part(sets[number], method) for number in numbers),
                            "names": _told(at[arm][0].components)})  # fmt: skip
    return pd.DataFrame(records, columns=["method", "edited", "sets", "before", "after", "chance", "names"])


def named_table(table: pd.DataFrame) -> pd.DataFrame:
    """:func:`named_again` for readers."""
    lines = [(label(row["method"]), label(row["edited"]), row["sets"], row["before"], row["after"], row["chance"], row["names"])
             for row in table.to_dict("records")]  # fmt: skip
    return pd.DataFrame(lines, columns=["method", "edited at", "forget sets", *_SHARES, "names after the edit"])


def profiles(rows: Rows) -> dict[str, pd.DataFrame]:
    """:func:`profile` of every method, by what it is called; path patching is fact lookup's."""
    names = {name: label("fact_lookup" if name == LOOKUP else name) for name in dict.fromkeys(row["evidence"] for row in rows)}
    return {called: profile(rows, name) for name, called in names.items()}


def mlp_layers(trained: Trained) -> dict[str, set[int]]:
    """The layers whose MLPs an arm trained in any of its forget sets."""
    return {arm: {part.layer for one in sets.values() for part in one.components if part.kind == "mlp"} for arm, sets in trained.items()}


def profile(rows: Rows, evidence: str) -> pd.DataFrame:
    """The score of every MLP by one method, averaged over forget sets: columns ``localization``, ``layer``, ``score``."""
    own = [row for row in rows if (row["evidence"], row["kind"]) == (evidence, "mlp")]
    records = [(key, layer, fmean(row["score"] for row in part)) for (key, layer), part in grouped(own, ["localization", "layer"]).items()]
    return pd.DataFrame(records, columns=["localization", "layer", "score"])


def finders(table: pd.DataFrame) -> str:
    """By edit, the method of :func:`named_again` that names most of what was trained there, in words."""
    told: list[str] = []
    for arm, part in table.groupby("edited", sort=False) if len(table) else ():
        lines: list[dict[Any, Any]] = part.to_dict("records")
        best = max(lines, key=lambda row: row["after"])
        told.append(f"{named(str(arm))}, {numerals.percent(best['after'])} by {named(best['method'])}")
    return f"Most of what a method names was edited: {'; '.join(told)}" if told else "No edit was localized again"


def _share(found: Localization, trained: Localization) -> float:
    """The share of the weights of one localization that another trained."""
    arch = read_architecture(found.provenance["architecture"])
    sizes = {part: part.size(arch) for part in found.components}
    both = {*found.components} & {*trained.components}
    return sum(sizes[part] for part in both) / sum(sizes.values()) if sizes else math.nan


def _part(trained: Localization, method: str) -> float:
    """The share of the weights that a method can name that were trained: of MLPs alone, or of attention, too."""
    arch = read_architecture(trained.provenance["architecture"])
    kinds = ("mlp",) if method == "fact_lookup" or method.endswith("_mlps") else ("attn", "mlp")
    sizes = {Component(layer, kind): Component(layer, kind).size(arch) for layer in range(arch.n_layers) for kind in kinds}
    return sum(size for part, size in sizes.items() if part in trained.components) / sum(sizes.values())


def _told(components: Sequence[Component]) -> str:
    mlps = [part for part in components if part.kind == "mlp"]
    attention = [part for part in components if part.kind != "mlp"]
    return "; ".join(f"{name} {layers(some)}" for name, some in (("MLPs", mlps), ("attention", attention)) if some)
