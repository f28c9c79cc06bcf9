"""What the model knows, and in which formats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from mechlib.report.aggregation import Rows, aggregate
from mechlib.report.figures.style import LAYOUT, errors
from mechlib.report.tables import label


def known_by_answer(rows: Rows, threshold: float) -> go.Figure:
    """Histogram of the probability of the true answer, one colour an answer, with the threshold of what counts as known."""
    frame = pd.DataFrame(list(rows))
    figure = go.Figure()
    for colour, (answer, group) in zip(("#0072B2", "#D55E00", "#009E73", "#CC79A7"), frame.groupby("answer"), strict=False):
        figure.add_histogram(x=group.probability, name=str(answer), xbins={"start": 0, "end": 1, "size": 0.05}, marker_color=colour)
    figure.add_vline(threshold, line_dash="dash", annotation_text="known", annotation_position="top right")
    figure.update_layout(
        barmode="stack", xaxis_title="probability of the true sport among the options", yaxis_title="athletes", height=380, **LAYOUT
    )
    return figure


def format_accuracies(rows: Rows, void: Sequence[str]) -> go.Figure:
    """Accuracy of the unedited model in each format, with 95 % intervals and the line of chance."""
    table = aggregate(rows, ["format"], "correct")
    colours = ["#b0b0b0" if form in void else "#0072B2" for form in table.format]
    names = [label(form).replace(" ", "<br>") + ("<br>(void)" if form in void else "") for form in table.format]
    figure = go.Figure(go.Bar(x=names, y=table.share, marker_color=colours, error_y=errors(table), showlegend=False))
    figure.add_hline(0.25, line_dash="dot", annotation_text="chance", annotation_position="top right")
    figure.update_layout(yaxis={"title": "accuracy", "range": [0, 1.05]}, height=380, **LAYOUT)
    return figure


def known_by_relation(counts: pd.DataFrame, threshold: float) -> go.Figure:
    """Facts of each relation, and how many are known in each format: columns ``relation``, ``facts`` and one a format."""
    figure = go.Figure(go.Bar(x=counts.relation, y=counts.facts, name="in the table", marker_color="#d9d9d9"))
    forms = [name for name in counts.columns if name not in ("relation", "facts")]
    for tint, form in zip(("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9"), forms, strict=False):
        figure.add_bar(x=counts.relation, y=counts[form], name=f"{label(form)}: p > {threshold}", marker_color=tint)
    layout: dict[str, Any] = {**LAYOUT, "legend": {"orientation": "h", "y": -0.35}}
    figure.update_layout(barmode="group", yaxis_title="facts", height=470, **layout)
    return figure
