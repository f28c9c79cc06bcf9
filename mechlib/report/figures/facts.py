"""What the model knows, and in which formats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from mechlib.report.aggregation import Rows, aggregate
from mechlib.report.figures.style import MUTED, OUTCOMES, drawing, errors
from mechlib.report.tables import label


@drawing
def known_by_answer(rows: Rows, threshold: float) -> go.Figure:
    """Histogram of the probability of the true answer, one colour an answer, with the threshold of what counts as known."""
    frame = pd.DataFrame(list(rows))
    figure = go.Figure()
    edges = np.linspace(0, 1, 21)
    for tint, (answer, group) in zip(OUTCOMES, frame.groupby("answer"), strict=False):
        counts, _ = np.histogram(group.probability, bins=edges)
        figure.add_bar(x=(edges[:-1] + edges[1:]) / 2, y=counts, name=str(answer), marker_color=tint)
    figure.add_vline(threshold, line_dash="dash", annotation_text="known", annotation_position="top right")
    title = "probability of the true sport among the options"
    return figure.update_layout(barmode="stack", bargap=0.03, xaxis_title=title, yaxis_title="athletes", height=380)


@drawing
def format_accuracies(rows: Rows, void: Sequence[str]) -> go.Figure:
    """Accuracy of the unedited model in each format, with 95 % intervals and the line of chance."""
    table = aggregate(rows, ["format"], "correct")
    colours = [MUTED if form in void else OUTCOMES[0] for form in table.format]
    names = [label(form).replace(" ", "<br>") + ("<br>(void)" if form in void else "") for form in table.format]
    figure = go.Figure(go.Bar(x=names, y=table.share, marker_color=colours, error_y=errors(table), showlegend=False))
    figure.add_hline(0.25, line_dash="dot", annotation_text="chance", annotation_position="top right")
    return figure.update_layout(yaxis={"title": "accuracy", "range": [0, 1.05]}, height=380)


@drawing
def known_by_relation(counts: pd.DataFrame, threshold: float) -> go.Figure:
    """Facts of each relation, and how many are known in each format: columns ``relation``, ``facts`` and one a format."""
    names = [str(relation).replace("_", " ") for relation in counts.relation]
    figure = go.Figure(go.Bar(x=names, y=counts.facts, name="in the table", marker_color=MUTED))
    forms = [name for name in counts.columns if name not in ("relation", "facts")]
    for tint, form in zip(OUTCOMES, forms, strict=False):
        figure.add_bar(x=names, y=counts[form], name=f"{label(form)}: p > {threshold}", marker_color=tint)
    return figure.update_layout(barmode="group", yaxis_title="facts", height=470)
