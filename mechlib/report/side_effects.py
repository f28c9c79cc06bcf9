"""What an edit did besides, and what follows from it: rows of text, other facts, reverse prompts and consequences to tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from mechlib.evals.benchmarks import SIGNAL
from mechlib.report import numerals
from mechlib.report.aggregation import Rows, aggregate
from mechlib.report.audits import Measure, measured, outcome_shares
from mechlib.report.summaries import Edits
from mechlib.report.tables import label
from mechlib.stats import Interval


def side_effect_rows(rows: Rows, name: str) -> list[Mapping[str, Any]]:
    """The rows of one kind of side effect (``reverse``, ``consequence`` or ``general``)."""
    return [row for row in rows if row["ripple"] == name]


def text_damage(rows: Rows) -> pd.DataFrame:
    """Change of the next-token loss and KL(unedited || edited) by localization and source, in nats per token, over texts.

    A divergence is never below zero, and neither is its interval.
    """
    changes = [{**row, "change": row["loss_after"] - row["loss_before"]} for row in rows]
    tables: dict[str, pd.DataFrame] = {}
    for source in dict.fromkeys(row["source"] for row in rows):
        own = [row for row in changes if row["source"] == source]
        tables[f"loss change, {source}"] = aggregate(own, ["localization"], "change", "number", ["text"])
        apart = aggregate(own, ["localization"], "divergence", "number", ["text"])
        tables[f"divergence, {source}"] = apart.assign(low=apart.low.clip(lower=0.0))
    return measured(tables)


def text_table(table: pd.DataFrame) -> pd.DataFrame:
    """:func:`text_damage` for readers, to a thousandth of a nat."""
    cells: dict[str, dict[str, str]] = {}
    for line in table.to_dict("records"):
        interval = Interval(line["share"], line["low"], line["high"]).text(3)
        cells.setdefault(label(line["localization"]), {})[line["measure"]] = interval
    return pd.DataFrame.from_dict(cells, orient="index")


def costs(damage: Rows, edits: Edits) -> pd.DataFrame:
    """For readers: how many weights each localization has changed and by what norm, after all parts, before :func:`text_table`."""
    moved = pd.DataFrame([{**value, **arm} for arm, value in edits])
    whole: Any = moved[moved.part == moved.part.max()].groupby("localization", sort=False)[["parameters", "norm"]].mean()
    size = pd.DataFrame({"weights": whole.parameters.map("{:,.0f}".format), "norm of the change": whole.norm.map(numerals.decimal)})
    size.index = [label(key) for key in size.index]
    return size.join(text_table(text_damage(damage)))


def general(rows: Rows) -> list[dict[str, Any]]:
    """Facts of other relations that the unedited model answers rightly, each a subject of its own in its relation."""
    return [{**row, "subject": f"{row['subject']}, {row['relation']}"} for row in side_effect_rows(rows, "general") if row["before"]]


def facts_kept(maintain: Rows, others: Rows) -> pd.DataFrame:
    """Share still right of the maintain facts, and of those facts of other relations that were right before, with 95 % intervals."""
    kept = [row for row in maintain if row["group"] == "maintain"]
    parts = {"maintain facts": kept, "facts of other relations": general(others)}
    return measured({name: aggregate(own, ["localization"], "correct") for name, own in parts.items()})


def backwards(rows: Rows) -> pd.DataFrame:
    """Reverse prompts: AUC of the true answer and of the edit target by localization, wordings averaged within a fact."""
    own, outcomes = side_effect_rows(rows, "reverse"), {"true answer": "auc", "edit target": "target_auc"}
    return measured({name: aggregate(own, ["localization"], outcome, "number") for name, outcome in outcomes.items()})


def known_backwards(rows: Rows) -> bool:
    """Whether the unedited model's AUC for the true answer is above chance; if it is not, there is nothing to lose backwards."""
    unedited = [row for row in side_effect_rows(rows, "reverse") if row["localization"] == "unedited"]
    table = aggregate(unedited, ["localization"], "auc", "number")
    return bool((table.low > 0.5).any())


def consequences(rows: Rows) -> list[Mapping[str, Any]]:
    """The consequences that the unedited model draws; of the others nothing can be said."""
    return [row for row in side_effect_rows(rows, "consequence") if row["passes_before"]]


def consequence_counts(rows: Rows) -> pd.DataFrame:
    """How many consequences of each kind are asked of the unedited model, and how many it passes."""
    unedited = [row for row in side_effect_rows(rows, "consequence") if row["localization"] == "unedited"]
    own = pd.DataFrame(unedited, columns=["kind", "passes_before"])
    return own.groupby("kind", sort=False).passes_before.agg(asked="size", passed="sum").reset_index()


def consequence_shares(rows: Rows) -> pd.DataFrame:
    """Share of passed consequences that still follow from the true answer, and that follow from the edit target."""
    asked = [{**row, "true answer": row["correct"], "edit target": row["edited"]} for row in consequences(rows)]
    return outcome_shares(asked, ["localization"], ["true answer", "edit target"])


def carried_through(rows: Rows) -> dict[str, Measure]:
    """What is tested: an edit that reaches the fact itself moves it backwards and in its consequences, and spares other facts.

    Reverse prompts are no measure where the unedited model knows nothing backwards.
    """
    reverse = [row for row in side_effect_rows(rows, "reverse") if row["auc"] is not None] if known_backwards(rows) else []
    return {
        "AUC of the true answer, reversed": Measure(reverse, "auc", "lower"),
        "consequence of the true answer": Measure(consequences(rows), "correct", "lower"),
        "facts of other relations": Measure(general(rows), "correct", "higher"),
    }


def signal(model: str) -> pd.DataFrame:
    """Benchmarks with published scores of a model by its key, and whether an edit could lower them; no lines for other models."""
    columns = ["benchmark", "score", "guessing", "shots", "signal", "source"]
    lines = [(one.name, one.score, one.guessing, one.shots, "yes" if one.usable else "no", one.source) for one in SIGNAL.get(model, ())]
    return pd.DataFrame(lines, columns=columns)
