"""What edits do: losses, outcomes, transfer to other formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mechlib.report import numerals
from mechlib.report.aggregation import Rows, aggregate
from mechlib.report.figures.style import OUTCOMES, colour, drawing, errors
from mechlib.report.tables import label


@drawing
def learning_curves(rows: Rows) -> go.Figure:
    """The three losses over steps (of all parts in a row), averaged over forget sets and seeds, one colour a localization."""
    frame = pd.DataFrame(list(rows))
    frame["step"] += frame.part * (frame.step.max() + 1)
    figure = make_subplots(rows=1, cols=3, subplot_titles=["forget", "retain", "general text"])
    for key, part in frame.groupby("localization", sort=False):
        means: Any = part.groupby("step")[["forget", "retain", "text"]].mean()
        for column, loss in enumerate(("forget", "retain", "text"), start=1):
            figure.add_scatter(
                x=means.index, y=means[loss], name=label(str(key)), legendgroup=str(key), showlegend=column == 1,
                line={"color": colour(str(key)), "width": 3 if key == "fact_lookup" else 1.5}, row=1, col=column,
            )  # fmt: skip
    figure.update_xaxes(title_text="step")
    figure.update_yaxes(title_text="loss (nats)", row=1, col=1)
    return figure.update_layout(height=430)


@drawing
def outcome_bars(rows: Rows, outcomes: Mapping[str, tuple[str, str]]) -> go.Figure:
    """Shares of answers by localization: ``outcomes`` maps a title to a group of facts and an outcome of their rows."""
    figure, arms = go.Figure(), list(dict.fromkeys(row["localization"] for row in rows))
    for tint, (title, (group, outcome)) in zip(OUTCOMES, outcomes.items(), strict=False):
        table = aggregate([row for row in rows if row["group"] == group], ["localization"], outcome)
        places = [arms.index(key) for key in table.localization]
        figure.add_bar(y=places, x=table.share, orientation="h", name=title, marker_color=tint, error_x=errors(table))
    names = {"tickvals": list(range(len(arms))), "ticktext": [label(key) for key in arms], "range": [len(arms) - 0.5, -0.5]}
    wide = {"title": "share of facts", "range": [0, 1.05]}
    return figure.update_layout(barmode="group", xaxis=wide, yaxis=names, height=150 + 16 * (len(outcomes) + 1) * len(arms))


@drawing
def transfer_map(rows: Rows, outcome: str, group: str, void: Sequence[str], trained: str) -> go.Figure:
    """Share of an outcome by localization and format; void formats are left blank and say so."""
    table = aggregate([row for row in rows if row["group"] == group], ["localization", "format"], outcome)
    formats, arms = list(dict.fromkeys(table.format)), list(dict.fromkeys(table.localization))
    found = {(row["localization"], row["format"]): float(row["share"]) for row in table.to_dict("records")}
    shares = [[None if form in void else found[(arm, form)] for form in formats] for arm in arms]
    texts = [["void" if share is None else numerals.decimal(share) for share in line] for line in shares]
    notes = {**dict.fromkeys(void, "<br>(void: at chance)"), trained: "<br>(trained)"}
    names = [label(form).replace(" ", "<br>") + notes.get(form, "") for form in formats]
    figure = go.Figure(
        go.Heatmap(z=shares, x=names, y=[label(arm) for arm in arms], text=texts, texttemplate="%{text}", colorscale="Blues",
                   zmin=0, zmax=1, colorbar={"title": "share"})
    )  # fmt: skip
    return figure.update_layout(xaxis={"tickangle": 0}, yaxis={"autorange": "reversed"}, height=145 + 36 * len(arms))


@drawing
def trial_dots(trials: pd.DataFrame) -> go.Figure:
    """Edit accuracy against the norm of the change, one dot a trial: columns of :mod:`mechlib.runs.stages.tune` and ``chosen``."""
    figure = go.Figure()
    for key, part in trials.groupby("localization", sort=False):
        texts = [f"learning rate {numerals.rate(row['learning_rate'])}, coefficient {numerals.rate(row['forget_coefficient'])}"
                 for row in part.to_dict("records")]  # fmt: skip
        figure.add_scatter(
            x=part.norm, y=part.edit, mode="markers", name=label(str(key)), text=texts,
            marker={"color": colour(str(key)), "size": [15 if chosen else 9 for chosen in part.chosen]},
            hovertemplate="%{text}: norm %{x:.2f}, edit accuracy %{y:.2f}<extra></extra>",
        )  # fmt: skip
    axis = {"title": "norm of the change (large dots: chosen)"}
    return figure.update_layout(xaxis=axis, yaxis={"title": "edit accuracy, validation facts", "range": [-0.05, 1.05]}, height=420)


@drawing
def mask_curves(rows: Rows) -> go.Figure:
    """The losses while a mask is trained, and how many masks have left 1, one colour a localization."""
    frame = pd.DataFrame(list(rows))
    names = {"forget": "forget", "retain": "retain", "masked": "masks below 1"}
    figure = make_subplots(rows=1, cols=3, subplot_titles=list(names.values()))
    for key, part in frame.groupby("localization", sort=False):
        means: Any = part.groupby("step")[list(names)].mean()
        for column, name in enumerate(names, start=1):
            figure.add_scatter(x=means.index, y=means[name], name=label(str(key)), legendgroup=str(key), showlegend=column == 1,
                               line_color=colour(str(key)), row=1, col=column)  # fmt: skip
    figure.update_xaxes(title_text="step")
    return figure.update_layout(height=400)


@drawing
def size_curves(rows: Rows, before: Rows, form: str) -> go.Figure:
    """Share of true answers against the number of weights at zero: solid to forget, dashed to maintain; ``before``: unedited."""
    figure = go.Figure()
    start = {group: [row for row in before if row["group"] == group and row["format"] == form] for group in ("forget", "maintain")}
    for key in dict.fromkeys(row["localization"] for row in rows):
        for group, dash in (("forget", "solid"), ("maintain", "dash")):
            own = [row for row in rows if (row["localization"], row["group"], row["format"]) == (key, group, form)]
            table = aggregate([*start[group], *own], ["size"], "correct").sort_values("size")
            names = list(map(numerals.count, table["size"]))
            figure.add_scatter(x=names, y=table.share, name=f"{label(key)}, {group}", error_y=errors(table) if group == "forget" else None,
                               line={"color": colour(key), "dash": dash})  # fmt: skip
    axis = {"title": "weights at zero", "type": "category"}
    return figure.update_layout(xaxis=axis, yaxis={"title": "share of facts", "range": [0, 1.05]}, height=450)
