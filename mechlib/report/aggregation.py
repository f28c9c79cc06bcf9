"""The one way from rows to averages: a fact counts once, whatever its seeds, halves, rotations and formats."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from statistics import fmean
from typing import Any, Literal

import pandas as pd

from mechlib.stats import ENOUGH_SETS, Interval, Values, clustered, crossed, share

Rows = Sequence[Mapping[str, Any]]
Kind = Literal["share", "number"]
# What tells facts apart: the subject where each is in one fact of the rows, else the relation, too.
SUBJECT = ("subject",)
FACT = ("subject", "relation")


def grouped(rows: Rows, by: Sequence[str]) -> dict[tuple[Any, ...], list[Mapping[str, Any]]]:
    """Rows by their values of the columns ``by``, in the order in which these come first."""
    if not by:
        return {(): [*rows]} if rows else {}
    groups, key = defaultdict[Any, list[Mapping[str, Any]]](list), itemgetter(*by)
    for row in rows:
        groups[key(row)].append(row)
    # A getter of one name gives no tuple.
    return dict(groups) if len(by) > 1 else {(name,): own for name, own in groups.items()}


def fact_values(rows: Rows, outcome: str, fact: Sequence[str] = SUBJECT, within: Sequence[str] = ()) -> dict[int, list[float]]:
    """One number a fact, by forget set, facts in the order of their names: what :mod:`mechlib.stats` compares.

    ``fact`` names the columns that tell facts (or texts) apart. A fact's rows are averaged within each
    of ``within``, and these averages averaged: so formats count equally, though one may be asked in
    several rotations.
    """
    return {number: _facts(own, outcome, fact, within) for (number,), own in grouped(rows, ["forget_set"]).items()}


def mean_over_sets(values: Values) -> float:
    """Facts averaged within forget sets, then sets: these count equally, whatever their size."""
    return fmean(fmean(facts) for facts in values.values())


def average(rows: Rows, outcome: str, kind: Kind = "share", fact: Sequence[str] = SUBJECT) -> tuple[Interval, int]:
    """Mean of an outcome with its 95 % interval, and over how many different facts.

    The forget set is the unit, as its facts share one edit: see :func:`mechlib.stats.share` and, for a
    ``number`` without bounds, :func:`mechlib.stats.clustered`. Where every set meets the same facts or texts,
    these are :func:`mechlib.stats.crossed` with the sets. With fewer than ``ENOUGH_SETS`` sets the
    interval is over facts, and one of several sets counts once. Without rows a share is unknown;
    a number raises ``ValueError``.
    """
    values, facts = fact_values(rows, outcome, fact), _facts(rows, outcome, fact, ())
    if len(values) < ENOUGH_SETS:
        pooled = {0: facts}
        return share(pooled) if kind == "share" else clustered(pooled), len(facts)
    if len(facts) > 1 and all(len(own) == len(facts) for own in values.values()):
        found = crossed(values)
        bounded = replace(found, low=max(0.0, found.low), high=min(1.0, found.high))
        return bounded if kind == "share" else found, len(facts)
    return share(values) if kind == "share" else clustered(values), len(facts)


def aggregate(rows: Rows, by: Sequence[str], outcome: str, kind: Kind = "share", fact: Sequence[str] = SUBJECT) -> pd.DataFrame:
    """:func:`average` of each group of rows: columns ``by``, ``n`` (facts), ``share`` (the mean), ``low``, ``high``.

    Groups come in the order of the rows. Rows without the outcome (``None``) are left out.
    """
    records: list[dict[str, Any]] = []
    for names, own in grouped([row for row in rows if row[outcome] is not None], by).items():
        found, n = average(own, outcome, kind, fact)
        records.append({**dict(zip(by, names, strict=True)), "n": n, "share": found.estimate, "low": found.low, "high": found.high})
    return pd.DataFrame(records, columns=[*by, "n", "share", "low", "high"])


def _facts(rows: Rows, outcome: str, fact: Sequence[str], within: Sequence[str]) -> list[float]:
    facts = grouped(rows, fact)
    if not within:
        return [fmean([row[outcome] for row in facts[name]]) for name in sorted(facts)]
    return [fmean([fmean([row[outcome] for row in part]) for part in grouped(facts[name], within).values()]) for name in sorted(facts)]
