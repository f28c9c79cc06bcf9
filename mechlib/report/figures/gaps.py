"""The gap between an edit at fact lookup and others, in two series side by side."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from mechlib.report.figures.style import OUTCOMES, drawing, empty
from mechlib.report.tables import label


@drawing
def gap_dots(table: pd.DataFrame, nothing: str) -> go.Figure:
    """Gaps in log odds with intervals over forget sets, a line a rival and a colour a series; ``nothing``: what an empty table means.

    ``table``: as of :func:`mechlib.report.equal_norm.gaps`. Left of zero, less comes back after the edit at fact lookup.
    """
    if not len(table):
        return empty(nothing)
    figure, rivals = go.Figure(), list(dict.fromkeys(table.rival))
    for number, series in enumerate(dict.fromkeys(table.series)):
        own: Any = table[table.series == series]
        places = [len(rivals) - 1 - rivals.index(key) + 0.15 * (1 - 2 * number) for key in own.rival]
        figure.add_scatter(
            x=own.estimate, y=places, name=series, mode="markers", marker={"color": OUTCOMES[number], "size": 9},
            error_x={"type": "data", "symmetric": False, "array": own.high - own.estimate, "arrayminus": own.estimate - own.low},
        )  # fmt: skip
    figure.add_vline(x=0, line_dash="dot")
    figure.update_xaxes(title_text="fact lookup minus the other, nats")
    figure.update_yaxes(tickvals=list(range(len(rivals))), ticktext=[label(key) for key in rivals[::-1]])
    return figure.update_layout(height=160 + 50 * len(rivals))
