"""Methods that score components, held against exact patching and against chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from mechlib.report.aggregation import Rows
from mechlib.report.figures.style import COLOURS, MUTED, OUTCOMES, colour, drawing, empty, errors
from mechlib.report.tables import label


@drawing
def agreement_dots(table: pd.DataFrame) -> go.Figure:
    """Rank correlation with exact patching: ``method``, ``kind``, ``reference``, ``share``, ``low``, ``high``; without any it says so."""
    if table.empty:
        return empty("no exact effects here to compare with")
    figure = go.Figure()
    tints = {"head": OUTCOMES[0], "mlp": OUTCOMES[1]}
    symbols = dict(zip(dict.fromkeys(table.reference), ("circle", "diamond-open"), strict=False))
    groups = list(dict.fromkeys(zip(table.kind, table.reference, strict=True)))
    shift = dict(zip(groups, (0.24, 0.08, -0.08, -0.24), strict=False))
    methods = list(dict.fromkeys(table.method))
    for kind, reference in groups:
        part: Any = table[(table.kind == kind) & (table.reference == reference)]
        figure.add_scatter(
            x=part.share, y=[len(methods) - 1 - methods.index(method) + shift[(kind, reference)] for method in part.method],
            error_x=errors(part), mode="markers", name=f"{'heads' if kind == 'head' else 'MLPs'}, {reference}",
            marker={"color": tints[kind], "symbol": symbols[reference], "size": 9},
        )  # fmt: skip
    figure.add_vline(0, line_width=1)
    return figure.update_layout(
        xaxis={"title": "rank correlation with exact patching", "range": [-1.05, 1.05]},
        yaxis={"tickvals": list(range(len(methods))), "ticktext": [label(method) for method in methods[::-1]]},
        height=120 + 55 * len(methods),
    )


@drawing
def circuit_curves(rows: Rows) -> go.Figure:
    """Faithfulness against the number of components that the circuit keeps, one line a method (ranked by signed score)."""
    frame = pd.DataFrame([row for row in rows if row["signed"]])
    figure = go.Figure()
    # A method that also localizes has its colour; the others share those of outcomes, first dashed and then dotted.
    others = iter([{"color": tint, "dash": dash} for dash in ("dash", "dot", "dashdot") for tint in OUTCOMES])
    for method, part in frame.groupby("method", sort=False):
        look = {"color": colour(str(method))} if method in COLOURS else next(others)
        figure.add_scatter(x=part["size"], y=part.faithfulness, name=label(str(method)), mode="lines+markers", line=look)
    figure.add_hline(1, line_width=1, line_dash="dot")
    sizes = sorted({int(n) for n in frame["size"] if n})
    axis = {"title": "heads and MLPs in the circuit", "type": "log", "tickvals": sizes}
    return figure.update_layout(xaxis=axis, yaxis_title="faithfulness", height=480)


@drawing
def draw_distribution(draws: Sequence[float], marked: Mapping[str, float], quantity: str) -> go.Figure:
    """Histogram of a quantity over random draws, with localizations marked."""
    counts, edges = np.histogram(draws, bins=40)
    figure = go.Figure(go.Bar(x=(edges[:-1] + edges[1:]) / 2, y=counts, marker_color=MUTED, name=f"{len(draws)} random sets of MLPs"))
    for number, (key, value) in enumerate(marked.items()):
        figure.add_vline(value, line_color=colour(key), line_width=2)
        figure.add_annotation(x=value, y=1.0 - 0.09 * number, yref="paper", text=label(key), showarrow=False, xanchor="left")
    return figure.update_layout(xaxis_title=quantity, yaxis_title="draws", height=380, showlegend=True, bargap=0)
