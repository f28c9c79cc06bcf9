"""What changes in a figure on a narrow screen: panels under each other, the legend as a list, names on several lines."""

from __future__ import annotations

import textwrap
from typing import Any

import plotly.graph_objects as go

from mechlib.report.figures.data import layout, panels, plain, traces

# Pixels: of a panel, between two panels (ticks, a title of the axis, the next panel's title), of a line of the legend.
_PANEL, _BETWEEN, _LINE = 210, 95, 20
# Characters of a name beside the vertical axis.
_WIDE = 16


def narrow(figure: go.Figure) -> dict[str, Any]:
    """The attributes of the layout to set where a figure is narrow, named as ``Plotly.relayout`` takes them (``yaxis.domain``)."""
    changes: dict[str, Any] = {"font.size": 11, "legend.orientation": "v", "margin.l": 5, "margin.r": 5}
    pairs, height = panels(figure), layout(figure).height or 450
    if len({layout(figure)[x].domain for x, _ in pairs}) > 1:
        height = 60 + len(pairs) * _PANEL + (len(pairs) - 1) * _BETWEEN
        changes |= _stacked(figure, pairs)
    for _, y in pairs:
        changes |= _broken(figure, y)
    return {**changes, "height": height + _LINE * _in_legend(figure)}


def _stacked(figure: go.Figure, pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """One panel under the other, each with its ticks, and each panel's title above it."""
    whole = len(pairs) * _PANEL + (len(pairs) - 1) * _BETWEEN
    titles = [n for n, note in enumerate(layout(figure).annotations) if note.xref == "paper" and note.yref == "paper"]
    changes: dict[str, Any] = {}
    for number, (x, y) in enumerate(pairs):
        top = 1 - number * (_PANEL + _BETWEEN) / whole
        changes |= {f"{x}.domain": [0, 1], f"{y}.domain": [max(0.0, top - _PANEL / whole), top], f"{y}.showticklabels": True}
        if len(titles) >= len(pairs):
            changes |= {f"annotations[{titles[number]}].x": 0.5, f"annotations[{titles[number]}].y": top}
    return changes


def _broken(figure: go.Figure, y: str) -> dict[str, Any]:
    """Names beside the vertical axis, on several lines."""
    axis = layout(figure)[y]
    names = axis.ticktext or next((trace.y for trace in traces(figure) if trace.type == "heatmap" and isinstance(trace.y[0], str)), ())
    values = axis.tickvals if axis.ticktext else list(range(len(names)))
    short = ["<br>".join(textwrap.wrap(plain(name), _WIDE)) for name in names]
    return {f"{y}.tickvals": list(values), f"{y}.ticktext": short} if short else {}


def _in_legend(figure: go.Figure) -> int:
    shown = [trace for trace in traces(figure) if trace.showlegend is not False and trace.name]
    return len(shown) if len(shown) > 1 or layout(figure).showlegend else 0
