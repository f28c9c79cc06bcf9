"""The one way from rows to averages: a fact counts once, whatever its seeds, halves, rotations and formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, Literal

import pandas as pd

from mechlib.stats import Interval, Values, paired_difference, wilson

Rows = Sequence[Mapping[str, Any]]
Over = Literal["facts", "sets"]
# What tells facts apart: the subject where each is in one fact of the rows, else the relation, too.
SUBJECT = ("subject",)
FACT = ("subject", "relation")


def grouped(rows: Rows, by: Sequence[str]) -> dict[tuple[Any, ...], list[Mapping[str, Any]]]:
    """Rows by their values of the columns ``by``, in the order in which these come first."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in by), []).append(row)
    return groups


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


def average(rows: Rows, outcome: str, over: Over = "facts", fact: Sequence[str] = SUBJECT) -> tuple[Interval, int]:
    """Mean of an outcome with its 95 % interval, and over how many facts.

    ``facts``: mean over facts, one of several forget sets counting once, with Wilson's interval; for
    shares. ``sets``: :func:`mean_over_sets`, with a bootstrap over forget sets and then facts; for any
    number. Without rows the former is unknown, the latter raises ``ValueError``.
    """
    if over == "facts":
        facts = _facts(rows, outcome, fact, ())
        return wilson(sum(facts), len(facts)), len(facts)
    values = fact_values(rows, outcome, fact)
    zeros = {number: [0.0] * len(facts) for number, facts in values.items()}
    return paired_difference(values, zeros), sum(map(len, values.values()))


def aggregate(rows: Rows, by: Sequence[str], outcome: str, over: Over = "facts", fact: Sequence[str] = SUBJECT) -> pd.DataFrame:
    """:func:`average` of each group of rows: columns ``by``, ``n`` (facts), ``share`` (the mean), ``low``, ``high``.

    Groups come in the order of the rows. Rows without the outcome (``None``) are left out.
    """
    records: list[dict[str, Any]] = []
    for names, own in grouped([row for row in rows if row[outcome] is not None], by).items():
        found, n = average(own, outcome, over, fact)
        records.append({**dict(zip(by, names, strict=True)), "n": n, "share": found.estimate, "low": found.low, "high": found.high})
    return pd.DataFrame(records, columns=[*by, "n", "share", "low", "high"])


def _facts(rows: Rows, outcome: str, fact: Sequence[str], within: Sequence[str]) -> list[float]:
    facts = grouped(rows, fact)
    return [fmean(fmean(float(row[outcome]) for row in part) for part in grouped(facts[name], within).values()) for name in sorted(facts)]
