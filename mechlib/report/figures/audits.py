"""What is still inside an edited model, layer by layer, and shares with their intervals side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mechlib.report.figures.style import MUTED, OUTCOMES, colour, drawing, empty, errors
from mechlib.report.tables import label


@drawing
def layer_curves(panels: Mapping[str, pd.DataFrame], axis: str) -> go.Figure:
    """Shares over layers, one panel a title and one colour a localization: columns ``localization``, ``layer`` and ``share``.

    A line breaks at layers that are ``void``, which are hollow grey points; ``control`` is dotted,
    once: the mean over localizations. Without any line the figure says so.
    """
    if not any(len(table) for table in panels.values()):
        return empty("nothing of this kind can be measured here")
    figure, in_legend = make_subplots(rows=1, cols=len(panels), subplot_titles=list(panels), shared_yaxes=True), set[str]()
    for column, table in enumerate(panels.values(), start=1):
        for key, part in table.groupby("localization", sort=False):
            void = part.void.astype(bool) if "void" in part else pd.Series(False, part.index)
            figure.add_scatter(
                x=part.layer, y=part.share.where(~void), name=label(str(key)), legendgroup=str(key), showlegend=key not in in_legend,
                mode="lines+markers", marker_size=4, row=1, col=column,
                line={"color": colour(str(key)), "width": 3 if key in ("fact_lookup", "unedited") else 1.5,
                      "dash": "dash" if key == "unedited" else "solid"},
            )  # fmt: skip
            in_legend.add(str(key))
            figure.add_scatter(x=part.layer[void], y=part.share[void], name="void", mode="markers", showlegend=False, row=1, col=column,
                               marker={"symbol": "circle-open", "size": 5, "color": MUTED})  # fmt: skip
        if "control" in table:
            control = table.groupby("layer").control.mean()
            figure.add_scatter(x=control.index, y=control, name="control", mode="lines", line={"color": MUTED, "dash": "dot"},
                               row=1, col=column)  # fmt: skip
    figure.update_xaxes(title_text="layer")
    figure.update_yaxes(title_text=axis, range=[-0.03, 1.03], row=1, col=1)
    return figure.update_layout(height=430)


@drawing
def interval_dots(table: pd.DataFrame, axis: str, line: float | None = None) -> go.Figure:
    """Estimates with intervals, localizations down and one colour a ``measure``; ``line`` marks a value such as chance."""
    if table.empty:
        return empty("nothing of this kind can be measured here")
    figure = go.Figure()
    arms, measures = list(dict.fromkeys(table.localization)), list(dict.fromkeys(table.measure))
    for number, measure in enumerate(measures):
        part: Any = table[table.measure == measure]
        shift = 0.3 * (0.5 - (number + 0.5) / len(measures))
        figure.add_scatter(
            x=part.share, y=[len(arms) - 1 - arms.index(key) + shift for key in part.localization], error_x=errors(part), mode="markers",
            name=measure, marker={"size": 9, "color": OUTCOMES[number % len(OUTCOMES)]},
        )  # fmt: skip
    if line is not None:
        figure.add_vline(line, line_width=1, line_dash="dot")
    lines: dict[str, Any] = {"tickvals": list(range(len(arms))), "ticktext": [label(key) for key in arms[::-1]]}
    return figure.update_layout(xaxis_title=axis, yaxis=lines, height=150 + 36 * len(arms))
