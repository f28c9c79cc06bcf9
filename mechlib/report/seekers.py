"""Who finds planted facts: which layers every method names, which of them were planted, and what it misses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean
from typing import Any

import pandas as pd

from mechlib.components import Component, Localization, read_architecture
from mechlib.localize.localizer import Measured
from mechlib.localize.registry import localize
from mechlib.report import numerals
from mechlib.report.aggregation import Rows, grouped
from mechlib.report.card import count
from mechlib.report.tables import label, named

# Localizations with the columns ``localization`` and ``site``, as of the need ``found``.
Values = Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]


def missed(values: Values, sites: Sequence[str]) -> dict[str, dict[int, tuple[float, float]]]:
    """By method and place (its number among ``sites``): the share of what was planted that it does not name, and of what it names the
    share that was not planted.
    """
    found: dict[str, dict[int, tuple[float, float]]] = {}
    for columns, value in values:
        mine, there = components(value), planted_at(columns["site"], value)
        both = len(there & {*mine})
        shares = 1 - both / len(there), 1 - both / len(mine)
        found.setdefault(columns["localization"], {})[sites.index(columns["site"])] = shares
    return found


def learned(known: Rows, sites: Sequence[str]) -> dict[int, float]:
    """Of the facts that were taught at each place the share that is known then. ``known``: rows with ``site``, ``taught``, ``correct``."""
    taught = grouped([row for row in known if row["taught"]], ["site"])
    return {sites.index(site): fmean(row["correct"] for row in rows) for (site,), rows in taught.items()}


def found_table(values: Values) -> pd.DataFrame:
    """What each method finds of a site, with its MLPs at the parameter count of fact lookup, a line a method and site.

    ``values``: localizations with the columns ``localization`` and ``site``. Precision: the share of the MLPs found that were trained;
    recall: of those trained that were found; chance: the precision of MLPs that are drawn.
    """
    lines: list[tuple[Any, ...]] = []
    for columns, value in values:
        found, site = components(value), planted_at(columns["site"], value)
        both = len(site & {*found})
        lines.append((label(columns["localization"]), label(columns["site"]), layers(found), both / len(found), both / len(site),
                      len(site) / _architecture(value).n_layers))  # fmt: skip
    return pd.DataFrame(lines, columns=["method", "planted in", "layers found", "precision", "recall", "chance"])


def finders(table: pd.DataFrame) -> str:
    """The methods of :func:`found_table` whose precision is above chance at every site, in words."""
    better: Any = (table.precision > table.chance).groupby(table.method, sort=False).all()
    return ", ".join(str(method) for method, always in better.items() if always) or "no method"


def layers_by_place(values: Values, sites: Sequence[str]) -> pd.DataFrame:
    """A line a method (its key), place (counted from 1) and layer that was ``planted``, or is ``named`` by the method, or both."""
    lines = [(columns["localization"], sites.index(columns["site"]) + 1, layer, layer in there, layer in mine)
             for columns, value in values
             for there in [{part.layer for part in planted_at(columns["site"], value)}]
             for mine in [{part.layer for part in components(value)}] for layer in sorted(there | mine)]  # fmt: skip
    return pd.DataFrame(lines, columns=["method", "place", "layer", "planted", "named"])


def probes_by_place(rows: Rows, values: Values, sites: Sequence[str]) -> pd.DataFrame:
    """Held-out accuracy of probes at the last token of the subject, by ``place`` (counted from 1) and the ``layer`` whose output is read.

    ``rows``: probes with the column ``site``; ``values``: what was found there. ``accuracy`` is a share, ``gain`` what the layer adds to
    it, and ``planted`` says whether facts were planted in the layer. The embedding is layer -1.
    """
    there = {columns["site"]: {part.layer for part in planted_at(columns["site"], value)} for columns, value in values}
    read = [row for row in rows if row["position"] == "subject"]
    lines = [(sites.index(row["site"]) + 1, row["layer"] - 1, row["correct"] / row["total"], row["layer"] - 1 in there[row["site"]])
             for row in read]  # fmt: skip
    table = pd.DataFrame(lines, columns=["place", "layer", "accuracy", "planted"]).sort_values(["place", "layer"], ignore_index=True)
    return table.assign(gain=table.groupby("place").accuracy.diff())


def rises(table: pd.DataFrame) -> str:
    """At how many places the layer that adds most to :func:`probes_by_place` is a planted one, in words."""
    steepest: Any = [own.loc[own.gain.idxmax()] for _, own in table.groupby("place")]
    inside = sum(bool(line.planted) for line in steepest)
    return f"Accuracy rises most in a planted layer at {inside} of {count(len(steepest), 'place')}"


def over_places(table: pd.DataFrame) -> pd.DataFrame:
    """:func:`found_table` averaged over places, a line a method: precision, recall, chance, and at how many places it names some or all."""
    means: Any = table.groupby("method", sort=False)[["precision", "recall", "chance"]].mean()
    recall: Any = table.groupby("method", sort=False).recall
    counts = {"places with some named": recall.agg(lambda own: int((own > 0).sum())),
              "places with all named": recall.agg(lambda own: int((own == 1).sum()))}  # fmt: skip
    return means.assign(**counts).reset_index()


def by_windows(values: Values, method: str) -> tuple[float, float]:
    """Mean recall over places of windows of neighbouring MLPs, as many as the method names: one drawn at each place, and the best that
    is the same at all. What a method would find by its habit of naming neighbours.
    """
    drawn: list[float] = []
    fixed: dict[int, list[float]] = {}
    for columns, value in values:
        if columns["localization"] == method:
            there = {part.layer for part in planted_at(columns["site"], value)}
            width, n_layers = len(components(value)), _architecture(value).n_layers
            recall = [len(there & {*range(start, start + width)}) / len(there) for start in range(n_layers - width + 1)]
            drawn.append(fmean(recall))
            for start, share in enumerate(recall):
                fixed.setdefault(start, []).append(share)
    return fmean(drawn), max(sum(shares) for shares in fixed.values()) / len(drawn)


def overlapping(values: Values, sites: Sequence[str]) -> str:
    """That places have layers in common, and what follows from it, in words; "" where they have none."""
    by_site = {columns["site"]: {part.layer for part in planted_at(columns["site"], value)} for columns, value in values}
    there = [by_site[site] for site in sites]
    shared = max((len(one & other) for one, other in pairwise(there)), default=0)
    if not shared:
        return ""
    return (f"Places next to each other have up to {shared} of {count(len(there[0]), 'layer')} in common. Each is a model of its own, but "
            "what a method finds at one it tends to find at the next, so that the interval may be too narrow.")  # fmt: skip


def in_words(table: pd.DataFrame, methods: Sequence[str]) -> str:
    """The mean recall of these methods over the places of :func:`found_table`, in words."""
    means = dict(zip(table.method.unique(), over_places(table).recall, strict=True))
    told = [f"{named(key)} {numerals.decimal(means[label(key)])}" for key in methods if label(key) in means]
    return f"Share of the planted layers that is named: {', '.join(told)}" if told else "No method looked for planted facts"


def components(value: Mapping[str, Any]) -> tuple[Component, ...]:
    """What a stored localization names."""
    return tuple(Localization.from_json(value).components)


def planted_at(site: str, value: Mapping[str, Any]) -> set[Component]:
    """The components of a site in the model of a stored localization."""
    return {*localize(site, Measured(), _architecture(value), 0, budget=0).components}


def layers(parts: Sequence[Component]) -> str:
    """Layers for readers: "3 to 7", or "1, 5"; "-" for none."""
    return numbers([part.layer for part in parts])


def numbers(of_layers: Sequence[int]) -> str:
    """The same of their numbers."""
    found = sorted(of_layers)
    together = len(found) > 2 and found == list(range(found[0], found[-1] + 1))
    return f"{found[0]} to {found[-1]}" if together else ", ".join(map(str, found)) or "-"


def _architecture(value: Mapping[str, Any]) -> Any:
    return read_architecture(Localization.from_json(value).provenance["architecture"])
