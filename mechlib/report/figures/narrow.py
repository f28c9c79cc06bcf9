"""What changes in a figure on a narrow screen: panels under each other, the legend as a list, names on several lines."""

from __future__ import annotations

import textwrap
from typing import Any

import plotly.graph_objects as go

from mechlib.report.figures.data import layout, panels, plain, traces

# Pixels: of a panel, between two panels (ticks, a title of the axis, the next panel's title), of a line of the legend.
_PANEL, _BETWEEN, _LINE = 210, 95, 20
# Characters of a name beside the vertical axis, and pixels of each of its lines.
_WIDE, _HIGH = 16, 15


def narrow(figure: go.Figure) -> dict[str, Any]:
    """The attributes of the layout to set where a figure is narrow, named as ``Plotly.relayout`` takes them (``yaxis.domain``)."""
    changes: dict[str, Any] = {"font.size": 11, "legend.orientation": "v", "legend.tracegroupgap": 0, "margin.l": 5, "margin.r": 5}
    pairs, height, names = panels(figure), layout(figure).height or 450, dict[str, Any]()
    for _, y in pairs:
        names |= _broken(figure, y)
    tall = max((_height(texts) for name, texts in names.items() if name.endswith("ticktext")), default=0)
    if len({layout(figure)[x].domain for x, _ in pairs}) > 1:
        panel = max(_PANEL, tall)
        height = _around(figure) + len(pairs) * panel + (len(pairs) - 1) * _BETWEEN
        changes |= _stacked(figure, pairs, panel)
    else:
        height = max(height, tall + _around(figure))
    return {**changes, **names, "height": height + _LINE * _in_legend(figure)}


def _height(names: list[str]) -> int:
    """What names beside an axis need, so that those of several lines do not touch: they stand at equal distances."""
    return _HIGH * len(names) * max(name.count("<br>") + 1 for name in names)


def _around(figure: go.Figure) -> int:
    """Pixels above and below the panels, where a figure says nothing those of the shared looks."""
    margin = layout(figure).margin
    return int(40 if margin.t is None else margin.t) + int(20 if margin.b is None else margin.b)


def _stacked(figure: go.Figure, pairs: list[tuple[str, str]], panel: int) -> dict[str, Any]:
    """One panel under the other, each with its ticks, and each panel's title above it."""
    whole = len(pairs) * panel + (len(pairs) - 1) * _BETWEEN
    titles = [n for n, note in enumerate(layout(figure).annotations) if note.xref == "paper" and note.yref == "paper"]
    changes: dict[str, Any] = {}
    for number, (x, y) in enumerate(pairs):
        top = 1 - number * (panel + _BETWEEN) / whole
        changes |= {f"{x}.domain": [0, 1], f"{y}.domain": [max(0.0, top - panel / whole), top], f"{y}.showticklabels": True}
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
