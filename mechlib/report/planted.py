"""Planted facts: what was taught where, what every method finds of it, and what is left after edits there and elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import pandas as pd

from mechlib.components import Component, Localization, read_architecture
from mechlib.localize.localizer import Measured
from mechlib.localize.registry import PLANTED, localize
from mechlib.report.aggregation import FACT, Rows, aggregate, grouped
from mechlib.report.arm_outcome import arm_outcome
from mechlib.report.claims import Claim
from mechlib.report.gates import Evidence
from mechlib.report.tables import label, named
from mechlib.runs.stages.plant import LESSONS
from mechlib.stats import Interval, clustered, wilson

Values = Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]


def plants_table(values: Values, curves: Rows, known: Rows) -> pd.DataFrame:
    """What was planted, a line a site: its layers, steps, norm, and true answers about facts that were taught, and that were not.

    ``values`` and ``curves``: values and rows of the runs that plant; ``known``: answers to all invented facts, with ``site`` and
    ``taught``.
    """
    steps = {site: len(own) for (site,), own in grouped(curves, ["site"]).items()}
    lines: list[tuple[Any, ...]] = []
    for columns, value in values:
        asked = [row for row in known if row["site"] == columns["site"]]
        shares = [_share([row["correct"] for row in asked if row["taught"] == was]) for was in (True, False)]
        lines.append((label(columns["site"]), layers(_components(value["localization"])), steps[columns["site"]], value["norm"], *shares))
    return pd.DataFrame(lines, columns=["planted in", "layers", "steps", "norm", "taught, known", "never taught, known"])


def found_table(values: Values) -> pd.DataFrame:
    """What each method finds of a site, with its MLPs at the parameter count of fact lookup, a line a method and site.

    ``values``: localizations with the columns ``localization`` and ``site``. Precision: the share of the MLPs found that were trained;
    recall: of those trained that were found; chance: the precision of MLPs that are drawn.
    """
    lines: list[tuple[Any, ...]] = []
    for columns, value in values:
        arch = read_architecture(Localization.from_json(value).provenance["architecture"])
        found = _components(value)
        site = {*localize(columns["site"], Measured(), arch, 0, budget=0).components}
        both = len(site & set(found))
        lines.append((label(columns["localization"]), label(columns["site"]), layers(found), both / len(found) if found else math.nan,
                      both / len(site), len(site) / arch.n_layers))  # fmt: skip
    return pd.DataFrame(lines, columns=["method", "planted in", "layers found", "precision", "recall", "chance"])


def finders(table: pd.DataFrame) -> str:
    """The methods of :func:`found_table` whose precision is above chance at every site, in words."""
    better: Any = (table.precision > table.chance).groupby(table.method, sort=False).all()
    return ", ".join(str(method) for method, always in better.items() if always) or "no method"


def wordings() -> str:
    """The formats in which facts are taught, in words."""
    return ", ".join(named(form) for form in LESSONS)


def cells(claim: Claim, evidence: Evidence) -> pd.DataFrame:
    """What is left of the old answer, by where facts were planted and where they were edited: log odds (nats) with intervals over sets.

    Columns: ``planted``, ``edited`` (keys), ``sets``, ``estimate``, ``low``, ``high``, ``share`` of true answers.
    """
    records: list[dict[str, Any]] = []
    for arm in evidence.arms:
        found = arm_outcome(claim, evidence, arm)
        for site in dict.fromkeys(evidence.sites.values()) if found else ():
            own = {number: facts for number, facts in found.odds.items() if evidence.sites[number] == site} if found else {}
            if found and own:
                at = clustered(own)
                share = fmean(fmean(found.shares[number]) for number in own)
                records.append({"planted": site, "edited": arm, "sets": len(own), "estimate": at.estimate, "low": at.low, "high": at.high,
                                "share": share})  # fmt: skip
    return pd.DataFrame(records, columns=["planted", "edited", "sets", "estimate", "low", "high", "share"])


def cells_table(table: pd.DataFrame, outcome: str) -> pd.DataFrame:
    """:func:`cells` for readers, with what was ``outcome`` asked."""
    lines = [(outcome, label(row["planted"]), label(row["edited"]), row["sets"], str(Interval(row["estimate"], row["low"], row["high"])),
              row["share"]) for row in table.to_dict("records")]  # fmt: skip
    return pd.DataFrame(lines, columns=["asked", "planted in", "edited at", "forget sets", "log odds", "true answers"])


def title(tables: Mapping[str, pd.DataFrame]) -> str:
    """In how many cells of :func:`cells` the edit at the planted site leaves less than the other, by what was asked."""
    told: list[str] = []
    for name, table in tables.items():
        wide: Any = table.pivot(index="planted", columns="edited", values="estimate") if len(table) else table
        if {*PLANTED} <= {*wide.columns}:
            own, other = (wide[arm] for arm in PLANTED)
            less = [named(str(site)) for site in wide.index[own < other]]
            told.append(f"{name}, {' and '.join(less) or 'nowhere'}")
    return f"Less is left after an edit at the planted site than at the other: {'; '.join(told)}" if told else "No planted fact was edited"


def least(tables: Mapping[str, pd.DataFrame]) -> str:
    """The edit of :func:`cells` after which least is left, by what was asked."""
    told: list[str] = []
    for name, table in tables.items():
        lines: list[dict[Any, Any]] = table.to_dict("records")
        if len(lines) > 1:
            best = min(lines, key=lambda row: row["estimate"])
            told.append(f"{name}, {named(best['edited'])} ({best['estimate']:.2f} nats)")
    return f"Least is left after an edit of: {'; '.join(told)}" if told else "No planted fact was edited at two places"


def floor(evidence: Evidence) -> pd.DataFrame:
    """The share of true answers after relearning, about facts of each group: those that were taught by nobody are the floor."""
    groups = {"forget": "planted, edited, not taught again", "relearned": "taught again by the attack", "floor": "never planted, edited"}
    rows = [row for row in evidence.relearning if row["group"] in groups and (row["setting"], row["step"]) == evidence.last]
    table = aggregate(rows, ["localization", "group"], "correct", fact=FACT)
    lines = [(label(row["localization"]), groups[row["group"]], str(Interval(row["share"], row["low"], row["high"])))
             for row in table.to_dict("records")]  # fmt: skip
    return pd.DataFrame(lines, columns=["edited at", "about", "true answers"])


def layers(components: Sequence[Component]) -> str:
    """Layers for readers: "3 to 7", or "1, 5"; "-" for none."""
    found = sorted(part.layer for part in components)
    together = len(found) > 2 and found == list(range(found[0], found[-1] + 1))
    return f"{found[0]} to {found[-1]}" if together else ", ".join(map(str, found)) or "-"


def _components(value: Mapping[str, Any]) -> tuple[Component, ...]:
    return tuple(Localization.from_json(value).components)


def _share(correct: Sequence[bool]) -> str:
    return str(wilson(sum(correct), len(correct))) if correct else "-"
