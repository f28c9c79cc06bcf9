"""What is left of planted facts, by where they were planted and where they were edited."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots

from mechlib.report.figures.style import MUTED, OUTCOMES, drawing, empty
from mechlib.report.tables import label, named


@drawing
def planted_dots(tables: Mapping[str, pd.DataFrame]) -> go.Figure:
    """Log odds with intervals over forget sets, a panel for each of ``tables`` (of :func:`mechlib.report.planted.cells`).

    A line an edit and a colour a site: where an edit at the planted site lasts, its dots of both colours lie left of those below.
    """
    if not any(len(table) for table in tables.values()):
        return empty("No planted fact was edited and asked.")
    figure = make_subplots(1, len(tables), subplot_titles=list(tables), shared_yaxes=True, horizontal_spacing=0.06)
    arms = list(dict.fromkeys(key for table in tables.values() for key in table.edited))
    sites = list(dict.fromkeys(key for table in tables.values() for key in table.planted))
    for column, table in enumerate(tables.values(), start=1):
        for number, site in enumerate(sites):
            own: Any = table[table.planted == site]
            shift = 0.3 * (0.5 - (number + 0.5) / len(sites))
            figure.add_scatter(
                x=own.estimate, y=[len(arms) - 1 - arms.index(key) + shift for key in own.edited], name=f"planted in {named(site)}",
                legendgroup=site, showlegend=column == 1, mode="markers", marker={"color": OUTCOMES[number], "size": 9},
                error_x={"type": "data", "symmetric": False, "array": own.high - own.estimate, "arrayminus": own.estimate - own.low},
                row=1, col=column,
            )  # fmt: skip
    figure.update_xaxes(title_text="log p(true) - log p(target), nats")
    figure.update_yaxes(tickvals=list(range(len(arms))), ticktext=[f"edited at the {named(key)}" for key in arms[::-1]])
    return figure.update_layout(height=180 + 50 * len(arms))


@drawing
def named_layers(table: pd.DataFrame, methods: Sequence[str]) -> go.Figure:
    """Which layers each of these methods names at every place, beside those that were planted there, a panel a method.

    ``table``: a line a method, place and layer, with ``planted`` and ``named`` (of :func:`mechlib.report.seekers.layers_by_place`). A
    method that finds the facts has its dots on the squares; one that names the same layers wherever they are has rows of dots.
    """
    own = [key for key in methods if (table.method == key).any()]
    if not own:
        return empty("No method looked for planted facts.")
    titles = [label(key).replace(" (", "<br>(") for key in own]
    figure = make_subplots(1, len(own), subplot_titles=titles, shared_yaxes=True, horizontal_spacing=0.03)
    looks = {"planted": {"symbol": "square", "color": MUTED, "size": 11}, "named": {"color": OUTCOMES[0], "size": 6}}
    for column, key in enumerate(own, start=1):
        for what, marker in looks.items():
            some: Any = table[(table.method == key) & table[what]]
            figure.add_scatter(x=some.place, y=some.layer, name=what, legendgroup=what, showlegend=column == 1, mode="markers",
                               marker=marker, row=1, col=column)  # fmt: skip
    figure.update_xaxes(title_text="place", dtick=1)
    figure.update_yaxes(title_text="layer of the MLP", col=1)
    return figure.update_layout(height=440, margin_t=70)


def shades(count: int) -> list[str]:
    """Colours of so many places in their order: the middle of a scale whose ends cannot be seen on black or on white."""
    first, last = 0.23, 0.73
    places = [first + (last - first) * place / max(count - 1, 1) for place in range(count)]
    return [str(one) for one in sample_colorscale("Viridis", places)]


@drawing
def probes_by_place(table: pd.DataFrame) -> go.Figure:
    """Probe accuracy over layers, a line a place, its planted layers thick.

    ``table``: of :func:`mechlib.report.seekers.probes_by_place`.
    """
    figure, tints = go.Figure(), shades(int(table.place.max())) if len(table) else []
    for (place, own), shade in zip(table.groupby("place"), tints, strict=False):
        name = f"place {place}"
        figure.add_scatter(x=own.layer, y=own.accuracy, name=name, legendgroup=name, mode="lines", line={"color": shade, "width": 1.5})
        there: Any = own[own.planted]
        figure.add_scatter(x=there.layer, y=there.accuracy, name=f"{name}, planted", legendgroup=name, showlegend=False,
                           mode="lines+markers", line={"color": shade, "width": 5}, marker={"size": 8})  # fmt: skip
    axis = {"title": "held-out accuracy", "range": [0, 1.02]}
    return figure.update_layout(xaxis_title="layer whose output is read", yaxis=axis, height=420)


@drawing
def planted_layers(table: pd.DataFrame, places: Mapping[str, Collection[int]]) -> go.Figure:
    """What a layer's planted change is worth to the facts, and how large it is, a panel each.

    ``table``: of :func:`mechlib.report.planted.by_layer`; ``places``: layers that are drawn in their place's colour.
    """
    if not len(table):
        return empty("Nothing was planted.")
    figure = make_subplots(1, 2, subplot_titles=["worth to a taught fact", "size of the change"], horizontal_spacing=0.12)
    groups = {named(key): [*layers] for key, layers in places.items()}
    groups["other MLPs"] = [layer for layer in table.layer if not any(layer in layers for layers in places.values())]
    colours = [*OUTCOMES[: len(places)], MUTED]
    for (name, layers), shade in zip(groups.items(), colours, strict=True):
        own: Any = table[table.layer.isin(layers)]
        about = {"x": own.layer, "name": name, "legendgroup": name, "marker_color": shade, "row": 1}
        interval = {"type": "data", "symmetric": False, "array": own.high - own.estimate, "arrayminus": own.estimate - own.low}
        figure.add_bar(y=own.estimate, error_y=interval, col=1, **about)
        figure.add_bar(y=own.norm, showlegend=False, col=2, **about)
    figure.update_xaxes(title_text="layer of the MLP")
    figure.update_yaxes(title_text="log p(true) lost without it, nats", col=1)
    figure.update_yaxes(title_text="norm of the planted change", col=2)
    return figure.update_layout(height=380)
