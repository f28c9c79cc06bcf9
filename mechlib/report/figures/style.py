"""Colours and looks that all figures share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

import pandas as pd
import plotly.graph_objects as go

# One colour a localization, everywhere, and no other thing has it. Most are Okabe and Ito's; all can be told apart with the usual
# kinds of colour blindness, and seen on white and on black.
COLOURS = {
    "unedited": "#666666",
    "fact_lookup": "#0072B2",
    "causal_tracing": "#D55E00",
    "causal_tracing_mlps": "#E69F00",
    "attribution_patching": "#AA55FF",
    "attribution_patching_mlps": "#992222",
    "late_window": "#CC79A7",
    "random": "#99BB66",
    "random_mlps": "#009E73",
    "all_mlps": "#56B4E9",
    "nonlocalized": "#2200FF",
}
# What is no localization: answers, formats, kinds of components, methods.
OUTCOMES = ("#7711EE", "#AABB00", "#EE99AA", "#773388", "#445500")
# Where an answer is that everything else is measured by, and what is void.
MUTED = "#a8a8a8"

# Transparent, so that a figure is as dark as its page; the page's own style colours text and lines.
TEMPLATE = go.layout.Template(
    layout={
        "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "font": {"size": 13, "color": "#7a7a7a"},
        "margin": {"l": 20, "r": 20, "t": 40, "b": 20},
        "legend": {"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom", "bgcolor": "rgba(0,0,0,0)"},
        "xaxis": {"automargin": True, "gridcolor": "rgba(128,128,128,.3)", "zerolinecolor": "rgba(128,128,128,.6)"},
        "yaxis": {"automargin": True, "gridcolor": "rgba(128,128,128,.3)", "zerolinecolor": "rgba(128,128,128,.6)"},
        "shapedefaults": {"line": {"color": "#8a8a8a"}},
    }
)  # fmt: skip

_P = ParamSpec("_P")


def drawing(draw: Callable[_P, go.Figure]) -> Callable[_P, go.Figure]:
    """A function that draws, with the shared looks: the figure says in its ``meta`` which function drew it."""

    @wraps(draw)
    def drawn(*args: _P.args, **more: _P.kwargs) -> go.Figure:
        return draw(*args, **more).update_layout(template=TEMPLATE, meta={"drawn_by": f"{draw.__module__}.{draw.__name__}"})

    return drawn


def colour(key: str) -> str:
    """The colour of a localization; those that have none of their own are grey."""
    return COLOURS.get(key, MUTED)


def empty(why: str) -> go.Figure:
    """A figure of nothing, which says why."""
    figure = go.Figure().add_annotation(text=why, showarrow=False)
    return figure.update_layout(height=120, xaxis_visible=False, yaxis_visible=False)


def errors(table: pd.DataFrame) -> dict[str, Any]:
    """Error bars from the columns ``low``, ``share`` and ``high``."""
    return {
        "type": "data", "symmetric": False, "array": (table.high - table.share).tolist(),
        "arrayminus": (table.share - table.low).tolist(), "thickness": 1, "width": 3,
    }  # fmt: skip
