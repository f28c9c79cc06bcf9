"""Every localization over every attack, as one picture."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from mechlib.report import numerals
from mechlib.report.figures.style import drawing
from mechlib.report.scoreboard import attack_label
from mechlib.report.tables import label


@drawing
def attack_map(board: pd.DataFrame) -> go.Figure:
    """What the strongest setting of each attack brought back, by localization: columns of :func:`mechlib.report.scoreboard.scoreboard`."""
    arms, names = list(dict.fromkeys(board.localization)), list(dict.fromkeys(board.attack))
    found = {(row["localization"], row["attack"]): row for row in board.to_dict("records")}
    shares = [[found[(arm, name)]["share"] for name in names] for arm in arms]
    # Rounded as in tables and prose: the browser would round a half up, Python rounds it to even.
    texts = [[numerals.decimal(share) for share in line] for line in shares]
    how = [[found[(arm, name)]["strongest"] for name in names] for arm in arms]
    figure = go.Figure(
        go.Heatmap(z=shares, x=[attack_label(name).replace(" ", "<br>") for name in names], y=[label(str(arm)) for arm in arms],
                   customdata=how, text=texts, texttemplate="%{text}",
                   hovertemplate="%{y}, %{customdata}: %{text}<extra></extra>", colorscale="Blues", zmin=0, zmax=1,
                   colorbar={"title": "share"})
    )  # fmt: skip
    return figure.update_layout(yaxis={"autorange": "reversed"}, height=145 + 36 * len(arms))
