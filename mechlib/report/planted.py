"""Planted facts: what was taught where, what undoing it costs, and what is left after edits there and elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import pandas as pd

from mechlib.report.aggregation import FACT, Rows, aggregate, grouped
from mechlib.report.arm_outcome import arm_outcome
from mechlib.report.claims import Claim
from mechlib.report.gates import Evidence
from mechlib.report.seekers import components, layers, numbers
from mechlib.report.tables import label, named
from mechlib.report.verdicts import Line
from mechlib.runs.stages.plant import LESSONS
from mechlib.stats import Interval, clustered, wilson

# Where planted facts are asked for, by what a claim measures.
ASKED = {"transfer": "in prompts that were not trained", "relearning": "after relearning of one half"}
# How parts of the model that are one layer are called.
LAYER = "layer "
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
        lines.append((label(columns["site"]), layers(components(value["localization"])), steps[columns["site"]], value["norm"], *shares))
    return pd.DataFrame(lines, columns=["planted in", "layers", "steps", "norm", "taught, known", "never taught, known"])


def undone_table(rows: Rows, values: Values) -> pd.DataFrame:
    """What taught facts are answered with where planting is undone in a part of the model, or kept in that part alone.

    ``rows`` and ``values``: of the need ``undone``. A line a part that is more than a layer: its layers, the norm of the change there, and
    the mean log-probability (nats) and share of true answers without that part; for places, also with that part alone.
    """
    norms = {part: about["norm"] for _, value in values for part, about in value.items()}
    where = {part: about["layers"] for _, value in values for part, about in value.items()}
    own = {key: facts for key, facts in grouped(rows, ["part", "how"]).items() if not key[0].startswith(LAYER)}
    lines: list[tuple[Any, ...]] = []
    for part in sorted(dict.fromkeys(part for part, _ in own), key=lambda part: norms[part]):
        told: list[str] = []
        for how in ("without", "only"):
            facts = own.get((part, how), [])
            odds = [row["log_probability"] for row in facts]
            told += [str(clustered({0: odds})) if facts else "-", _share([row["correct"] for row in facts])]
        lines.append((label(part), numbers(where[part]), norms[part], *told))
    told_of = [f"{what} {how}" for how in ("without it", "with it alone") for what in ("log p(true)", "true answers")]
    return pd.DataFrame(lines, columns=["undone", "layers", "norm of the planted change", *told_of])


def by_layer(rows: Rows, values: Values) -> pd.DataFrame:
    """What each layer's planted change is worth to a taught fact: columns ``layer``, ``norm``, ``estimate``, ``low``, ``high``.

    Estimate and 95 % interval (over facts) of log p(true) with all of the change minus that without the layer's, in nats.
    """
    norms, worth = {part: about["norm"] for _, value in values for part, about in value.items()}, _worth(rows)
    records = [{"layer": int(part.split()[1]), "norm": norms[part], "estimate": one.estimate, "low": one.low, "high": one.high}
               for part, one in worth.items() if part.startswith(LAYER)]  # fmt: skip
    return pd.DataFrame(records, columns=["layer", "norm", "estimate", "low", "high"])


def places(values: Values) -> dict[str, list[int]]:
    """The layers of each place that planting was undone in: of parts that are more than a layer and less than all."""
    parts = {part: about["layers"] for _, value in values for part, about in value.items()}
    return {part: where for part, where in parts.items() if not part.startswith(LAYER) and part not in ("everything", "nothing")}


def worth(rows: Rows, values: Values) -> str:
    """What the planted change in each of these places is worth to a taught fact, in a sentence."""
    told = [f"{named(place)} {one}" for place, one in _worth(rows).items() if place in places(values)]
    return f"Undoing what was planted costs a fact, in nats: {', '.join(told)}" if told else "Nothing was planted at any of the places"


def _worth(rows: Rows) -> dict[str, Interval]:
    """The log p(true) with all that was planted minus without that of a part, over facts, by part."""
    said = {part: {row["subject"]: row["log_probability"] for row in own}
            for (part, how), own in grouped(rows, ["part", "how"]).items() if how == "without"}  # fmt: skip
    return {part: clustered({0: [said["nothing"][subject] - value for subject, value in facts.items()]}) for part, facts in said.items()}


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


def title(found: Sequence[Line]) -> str:
    """The gap of each comparison that was run, where it was asked, and its verdict."""
    told = [f"{ASKED[one.claim.measure]} {one.odds.difference} nats ({one.verdict})" for one in found if one.odds]
    names = next((f"{named(one.claim.first)} minus {named(one.rival)}" for one in found if one.odds), "")
    return f"{names[:1].upper()}{names[1:]}: {', '.join(told)}" if told else "No planted fact was edited at two places"


def floor(evidence: Evidence) -> pd.DataFrame:
    """The share of true answers after relearning, about facts of each group: those that were taught by nobody are the floor."""
    groups = {"forget": "planted, edited, not taught again", "relearned": "taught again by the attack", "floor": "never planted, edited"}
    rows = [row for row in evidence.relearning if row["group"] in groups and (row["setting"], row["step"]) == evidence.last]
    table = aggregate(rows, ["localization", "group"], "correct", fact=FACT)
    lines = [(label(row["localization"]), groups[row["group"]], str(Interval(row["share"], row["low"], row["high"])))
             for row in table.to_dict("records")]  # fmt: skip
    return pd.DataFrame(lines, columns=["edited at", "about", "true answers"])


def _share(correct: Sequence[bool]) -> str:
    return str(wilson(sum(correct), len(correct))) if correct else "-"
