"""What an edit leaves, by the depth of the MLPs that it trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mechlib.report.figures.style import OUTCOMES, colour, drawing, empty
from mechlib.report.tables import label
from mechlib.stats import clustered


@drawing
def depth_dots(tables: Mapping[str, pd.DataFrame]) -> go.Figure:
    """Log odds by mean layer, a panel for each of ``tables``, a dot a place with its interval over forget sets.

    ``tables`` as of :func:`mechlib.report.equal_depth.points`. Blue: fact lookup itself; filled: places that share MLPs with it.
    """
    if not any(len(table) for table in tables.values()):
        return empty("No place was edited and asked.")
    figure = make_subplots(1, len(tables), subplot_titles=list(tables), shared_yaxes=False, horizontal_spacing=0.1)
    for number, table in enumerate(tables.values(), start=1):
        for name, part in _kinds(table).items():
            _draw(figure, name, part, number)
    figure.update_xaxes(title_text="mean layer of the trained MLPs")
    figure.update_yaxes(title_text="log p(true) - log p(target), nats", col=1)
    return figure.update_layout(height=430)


def _kinds(table: Any) -> dict[str, Any]:
    """The dots by what they have of fact lookup: all, a part, nothing."""
    kinds = {label("fact_lookup"): table.overlap == 1, "shares an MLP with it": (table.overlap > 0) & (table.overlap < 1),
             "has none of its MLPs": table.overlap == 0}  # fmt: skip
    return {name: table[chosen] for name, chosen in kinds.items() if chosen.any()}


def _draw(figure: go.Figure, name: str, table: Any, column: int) -> None:
    looks: dict[str, Any] = {"color": colour("fact_lookup"), "size": 12, "symbol": "diamond"}
    if name != label("fact_lookup"):
        looks = {"color": OUTCOMES[0 if "shares" in name else 3], "size": 9, "symbol": "circle" if "shares" in name else "circle-open"}
    centres, texts, above, below = list[float](), list[str](), list[float](), list[float]()
    depths: list[float] = []
    for arm, own in table.groupby("arm", sort=False):
        at = clustered({int(key): [value] for key, value in zip(own.forget_set, own.odds, strict=True)})
        centres.append(at.estimate)
        above.append(at.high - at.estimate)
        below.append(at.estimate - at.low)
        depths.append(float(own.depth.iloc[0]))
        texts.append(f"{label(str(arm))}: layers {own.earliest.iloc[0]} and {own.latest.iloc[0]}")
    figure.add_scatter(
        x=depths, y=centres, name=name, legendgroup=name, showlegend=column == 1, mode="markers", marker=looks, text=texts,
        error_y={"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1, "color": looks["color"]},
        hovertemplate="%{text}<br>%{y:.2f} nats<extra></extra>", row=1, col=column,
    )  # fmt: skip
