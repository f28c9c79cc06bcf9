"""What a figure shows as a table: one line for each point, bar or cell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

COLUMNS = ("panel", "series", "at", "value", "low", "high", "note")
_TAG = re.compile(r"<[^>]*>")


@dataclass(frozen=True)
class Axes:
    """The axes that a trace is drawn on: their names, the titles of both, and the title of their panel (empty: it has none)."""

    x: str
    y: str
    at: str
    value: str
    panel: str
    sideways: bool


def traces(figure: go.Figure) -> list[Any]:
    """The traces of a figure, whose attributes plotly makes up as it goes."""
    return list(figure.data)


def layout(figure: go.Figure) -> Any:
    """The layout of a figure, likewise."""
    return figure.layout


def plain(text: object) -> str:
    """A label without the tags that break its lines."""
    return _TAG.sub("", str(text).replace("<br>", " ")).strip()


def panels(figure: go.Figure) -> list[tuple[str, str]]:
    """The pairs of axes that a figure draws on, as layout calls them (``xaxis2``), in the order of their first traces."""
    return list(dict.fromkeys((_axis("x", trace.xaxis), _axis("y", trace.yaxis)) for trace in traces(figure)))


def axes(figure: go.Figure, trace: Any) -> Axes:
    """The axes of one trace. Where the vertical axis names things, values run sideways."""
    pairs, own = panels(figure), (_axis("x", trace.xaxis), _axis("y", trace.yaxis))
    titles = [plain(note.text) for note in layout(figure).annotations if note.xref == "paper" and note.yref == "paper"]
    panel = titles[pairs.index(own)] if len(pairs) > 1 and len(titles) >= len(pairs) else ""
    x, y = (layout(figure)[name].title.text or layout(figure)[name[:5]].title.text or "" for name in own)
    sideways = trace.type != "heatmap" and bool(layout(figure)[own[1]].ticktext)
    if trace.type == "heatmap":
        return Axes(*own, plain(x), plain(trace.colorbar.title.text or "value"), panel, False)
    return Axes(*own, *((plain(y), plain(x)) if sideways else (plain(x), plain(y))), panel, sideways)


def table(figure: go.Figure) -> pd.DataFrame:
    """What a figure shows: the columns ``COLUMNS``, but for those that are empty. Points without a value are left out."""
    lines: list[dict[str, Any]] = [dict(zip(COLUMNS, line, strict=True)) for trace in traces(figure) for line in _lines(figure, trace)]
    lines = [line for line in lines if line["value"] is not None and line["value"] == line["value"]]
    kept = [name for name in COLUMNS if name in ("at", "value") or any(line[name] not in ("", None) for line in lines)]
    return pd.DataFrame({name: [line[name] for line in lines] for name in kept})


def _axis(letter: str, name: str | None) -> str:
    return f"{letter}axis{(name or letter)[1:]}"


def _lines(figure: go.Figure, trace: Any) -> Iterator[tuple[Any, ...]]:
    where = axes(figure, trace)
    if trace.type == "heatmap":
        notes = trace.customdata if trace.customdata is not None else [[""] * len(trace.x) for _ in trace.y]
        for series, cells, words in zip(trace.y, trace.z, notes, strict=True):
            for at, value, note in zip(trace.x, cells, words, strict=True):
                yield where.panel, plain(series), _place(at), value, None, None, note
        return
    places, values = (trace.y, trace.x) if where.sideways else (trace.x, trace.y)
    names, bars = layout(figure)[where.y].ticktext, trace.error_x if where.sideways else trace.error_y
    above, below = (list(ends) if ends is not None else [None] * len(values) for ends in (bars.array, bars.arrayminus))
    notes = next((list(words) for words in (trace.customdata, trace.text) if words is not None), [""] * len(values))
    for at, value, more, less, note in zip(places, values, above, below, notes, strict=True):
        # Marks of one line are set apart by less than half of the distance between lines.
        place = plain(names[round(at)]) if where.sideways else _place(at)
        ends = (None, None) if more is None else (value - less, value + more)
        yield where.panel, plain(trace.name or ""), place, value, *ends, note


def _place(at: Any) -> Any:
    return plain(at) if isinstance(at, str) else at
