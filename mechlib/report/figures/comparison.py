"""Methods that score components, held against exact patching and against chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from mechlib.report.aggregation import Rows
from mechlib.report.figures.style import LAYOUT, colour, errors
from mechlib.report.tables import label


def agreement_dots(table: pd.DataFrame) -> go.Figure:
    """Rank correlation with exact patching: ``method``, ``kind``, ``reference``, ``share``, ``low``, ``high``; without any it says so."""
    if table.empty:
        return go.Figure().add_annotation(text="no exact effects here to compare with", showarrow=False)
    figure = go.Figure()
    tints = {"head": "#D55E00", "mlp": "#0072B2"}
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
    layout: dict[str, Any] = {**LAYOUT, "margin": {"l": 230, "r": 20, "t": 40, "b": 90}, "legend": {"orientation": "h", "y": -0.16}}
    figure.update_layout(
        xaxis={"title": "rank correlation with exact patching", "range": [-1.05, 1.05]},
        yaxis={"tickvals": list(range(len(methods))), "ticktext": [label(method) for method in methods[::-1]]},
        height=120 + 55 * len(methods),
        **layout,
    )
    figure.add_vline(0, line_width=1)
    return figure


def circuit_curves(rows: Rows) -> go.Figure:
    """Faithfulness against the number of components that the circuit keeps, one line a method (ranked by signed score)."""
    frame = pd.DataFrame([row for row in rows if row["signed"]])
    figure = go.Figure()
    dashes = ("solid", "dash", "dot", "dashdot")
    for number, (method, part) in enumerate(frame.groupby("method", sort=False)):
        figure.add_scatter(x=part["size"], y=part.faithfulness, name=label(str(method)), mode="lines+markers",
                           line={"color": _TINTS[number % len(_TINTS)], "dash": dashes[number // len(_TINTS)]})  # fmt: skip
    figure.add_hline(1, line_width=1, line_dash="dot")
    figure.update_layout(
        xaxis={"title": "heads and MLPs in the circuit", "type": "log", "tickvals": sorted({int(n) for n in frame["size"] if n})},
        yaxis_title="faithfulness",
        height=480,
        **LAYOUT,
    )
    return figure


_TINTS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")


def draw_distribution(draws: Sequence[float], marked: Mapping[str, float], quantity: str) -> go.Figure:
    """Histogram of a quantity over random draws, with localizations marked."""
    figure = go.Figure(go.Histogram(x=list(draws), marker_color="#bdbdbd", name=f"{len(draws)} random sets of MLPs", nbinsx=40))
    for number, (key, value) in enumerate(marked.items()):
        figure.add_vline(value, line_color=colour(key), line_width=2)
        figure.add_annotation(x=value, y=1.0 - 0.09 * number, yref="paper", text=label(key), showarrow=False, xanchor="left",
                              font={"color": colour(key)})  # fmt: skip
    figure.update_layout(xaxis_title=quantity, yaxis_title="draws", height=380, showlegend=True, **LAYOUT)
    return figure
