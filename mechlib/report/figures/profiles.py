"""What a method measures of every layer, before an edit and after it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mechlib.report.figures.style import colour, drawing, empty
from mechlib.report.tables import label


@drawing
def layer_profiles(tables: Mapping[str, pd.DataFrame], trained: Mapping[str, Collection[int]]) -> go.Figure:
    """Scores of MLPs by layer, a panel a method and a line a model; large dots: the layers whose MLPs an edit trained.

    ``tables`` by method, as of :func:`mechlib.report.localized_again.profile`; ``trained``: layers by localization.
    """
    if not any(len(table) for table in tables.values()):
        return empty("No edited model was localized again.")
    figure = make_subplots(1, len(tables), subplot_titles=list(tables), horizontal_spacing=0.08)
    for column, table in enumerate(tables.values(), start=1):
        for key, part in table.groupby("localization", sort=False):
            own: Any = part.sort_values("layer")
            arm = str(key)
            figure.add_scatter(
                x=own.layer, y=own.score, name=label(arm), legendgroup=arm, showlegend=column == 1, mode="lines+markers",
                line={"color": colour(arm), "dash": "solid" if arm in trained else "dash"},
                marker={"size": [10 if layer in trained.get(arm, ()) else 3 for layer in own.layer]}, row=1, col=column,
            )  # fmt: skip
    figure.update_xaxes(title_text="layer of the MLP")
    figure.update_yaxes(title_text="share of the effect", col=1)
    return figure.update_layout(height=430)
