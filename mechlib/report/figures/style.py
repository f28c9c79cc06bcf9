"""Colours and layout that all figures share."""

from __future__ import annotations

from typing import Any

import pandas as pd

# Okabe and Ito's colours, which most colour-blind readers can tell apart; grey is the unedited model.
COLOURS = {
    "unedited": "#7f7f7f",
    "fact_lookup": "#0072B2",
    "causal_tracing": "#D55E00",
    "causal_tracing_mlps": "#E69F00",
    "attribution_patching": "#CC79A7",
    "attribution_patching_mlps": "#B07AA1",
    "random": "#8C8C5A",
    "random_mlps": "#009E73",
    "all_mlps": "#56B4E9",
    "nonlocalized": "#000000",
}
LAYOUT: dict[str, Any] = {
    "template": "plotly_white",
    "font": {"size": 13},
    "margin": {"l": 70, "r": 20, "t": 60, "b": 60},
    "legend": {"orientation": "h", "y": -0.22},
}


def colour(key: str) -> str:
    """The colour of a localization; those that have none of their own are grey."""
    return COLOURS.get(key, "#999999")


def errors(table: pd.DataFrame) -> dict[str, Any]:
    """Error bars from the columns ``low``, ``share`` and ``high``."""
    return {
        "type": "data", "symmetric": False, "array": (table.high - table.share).tolist(),
        "arrayminus": (table.share - table.low).tolist(), "thickness": 1, "width": 3,
    }  # fmt: skip
