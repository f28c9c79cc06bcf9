"""What edits do: losses, outcomes, transfer to other formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mechlib.report.figures.style import LAYOUT, colour, errors
from mechlib.report.tables import Rows, label, proportions


def learning_curves(rows: Rows) -> go.Figure:
    """The three losses over steps, averaged over forget sets and seeds, one colour a localization."""
    frame = pd.DataFrame(list(rows))
    figure = make_subplots(rows=1, cols=3, subplot_titles=["forget (injected answer)", "retain", "general text"])
    for key, part in frame.groupby("localization", sort=False):
        means: Any = part.groupby("step")[["forget", "retain", "text"]].mean()
        for column, loss in enumerate(("forget", "retain", "text"), start=1):
            figure.add_scatter(
                x=means.index, y=means[loss], name=label(str(key)), legendgroup=str(key), showlegend=column == 1,
                line={"color": colour(str(key)), "width": 3 if key == "fact_lookup" else 1.5}, row=1, col=column,
            )  # fmt: skip
    figure.update_xaxes(title_text="step")
    figure.update_yaxes(title_text="loss (nats)", row=1, col=1)
    figure.update_layout(height=430, **LAYOUT)
    return figure


def outcome_bars(rows: Rows, outcomes: Mapping[str, tuple[str, str]]) -> go.Figure:
    """Shares of answers by localization: ``outcomes`` maps a title to a group of facts and an outcome of their rows."""
    figure = go.Figure()
    for tint, (title, (group, outcome)) in zip(("#D55E00", "#009E73", "#0072B2"), outcomes.items(), strict=False):
        table = proportions([row for row in rows if row["group"] == group], ["localization"], outcome)
        names = [label(key).replace(" ", "<br>") for key in table.localization]
        figure.add_bar(x=names, y=table.share, name=title, marker_color=tint, error_y=errors(table))
    layout: dict[str, Any] = {**LAYOUT, "legend": {"orientation": "h", "y": 1.12}}
    figure.update_layout(barmode="group", yaxis={"title": "share of facts", "range": [0, 1.05]}, height=460, **layout)
    return figure


def transfer_map(rows: Rows, outcome: str, group: str, void: Sequence[str], trained: str) -> go.Figure:
    """Share of an outcome by localization and format; void formats are left blank and say so."""
    table = proportions([row for row in rows if row["group"] == group], ["localization", "format"], outcome)
    formats, arms = list(dict.fromkeys(table.format)), list(dict.fromkeys(table.localization))
    found = {(row["localization"], row["format"]): float(row["share"]) for row in table.to_dict("records")}
    shares = [[None if form in void else found[(arm, form)] for form in formats] for arm in arms]
    texts = [["void" if share is None else f"{share:.2f}" for share in line] for line in shares]
    notes = {**dict.fromkeys(void, "<br>(void: at chance)"), trained: "<br>(trained)"}
    names = [label(form).replace(" ", "<br>") + notes.get(form, "") for form in formats]
    figure = go.Figure(
        go.Heatmap(z=shares, x=names, y=[label(arm) for arm in arms], text=texts, texttemplate="%{text}", colorscale="Blues",
                   zmin=0, zmax=1, colorbar={"title": "share"})
    )  # fmt: skip
    layout: dict[str, Any] = {**LAYOUT, "margin": {"l": 190, "r": 20, "t": 45, "b": 90}}
    figure.update_layout(yaxis={"autorange": "reversed"}, height=145 + 36 * len(arms), **layout)
    return figure
