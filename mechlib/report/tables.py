"""Rows to tables: proportions with intervals, marked where they mean nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mechlib.facts import FORMATS
from mechlib.localize.registry import LOCALIZERS
from mechlib.stats import Interval, at_chance, paired_difference, wilson

Rows = Sequence[Mapping[str, Any]]


def label(key: str) -> str:
    """How a localization or a format is called in a figure."""
    if key in LOCALIZERS:
        return LOCALIZERS[key].label
    return FORMATS[key].label if key in FORMATS else key.capitalize()


def proportions(rows: Rows, by: Sequence[str], outcome: str) -> pd.DataFrame:
    """Share of rows with a true ``outcome`` in each group, with its Wilson interval and counts."""
    frame = pd.DataFrame(list(rows))
    records: list[dict[str, Any]] = []
    for values, group in frame.groupby(list(by), sort=False):
        hits, total = int(group[outcome].astype(bool).sum()), len(group)
        interval = wilson(hits, total)
        records.append({**dict(zip(by, values, strict=True)), "hits": hits, "n": total, "share": interval.estimate,
                        "low": interval.low, "high": interval.high})  # fmt: skip
    return pd.DataFrame(records)


def void_formats(rows: Rows) -> list[str]:
    """Formats in which the unedited model is not clearly above chance on the very facts that are edited."""
    frame = pd.DataFrame(list(rows))
    unedited = frame[(frame.localization == "unedited") & (frame.group == "forget")]
    return [
        str(form)
        for form, group in unedited.groupby("format", sort=False)
        if at_chance(int(group.correct.sum()), len(group), n_options=4)
    ]


def difference(rows: Rows, first: str, second: str, outcome: str, formats: Sequence[str], group: str = "forget") -> Interval:
    """Paired difference ``first - second`` in a share, over forget sets and facts; seeds and formats are averaged within a fact."""
    frame = pd.DataFrame(list(rows))
    frame = frame[(frame.group == group) & frame.format.isin(formats)]
    arms = [
        {
            int(number): part.groupby("subject")[outcome].mean().sort_index().tolist()
            for number, part in frame[frame.localization == key].groupby("forget_set")
        }
        for key in (first, second)
    ]
    return paired_difference(arms[0], arms[1])


def shown(table: pd.DataFrame, rows: Sequence[str], column: str, void: Sequence[str] = ()) -> pd.DataFrame:
    """A table for readers: rows by ``rows``, one column a ``column``, cells ``share [low, high]``; void columns say so."""
    text = table.assign(cell=[str(Interval(r.share, r.low, r.high)) for r in table.itertuples()])
    wide = text.pivot_table(index=list(rows), columns=column, values="cell", aggfunc="first", sort=False)
    wide.columns = [f"{label(str(name))} (void: at chance)" if name in void else label(str(name)) for name in wide.columns]
    wide.index = [label(str(name)) for name in wide.index]
    return wide
