"""What a figure says to who cannot see it: what is compared, and the extremes, from its data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from mechlib.report import numerals
from mechlib.report.figures.data import axes, layout, plain, table, traces

# More than these nobody listens to.
_MOST = 12


def alternative(figure: go.Figure) -> str:
    """Alternative text: the kind of figure, its axes, the things compared, and in each panel the highest and the lowest value."""
    shown = table(figure)
    if shown.empty:
        return f"Empty: {'; '.join(plain(note.text) for note in layout(figure).annotations) or 'there is nothing to show'}."
    first = axes(figure, traces(figure)[0])
    over = f" by {first.at}" if first.at else ""
    whole = f"{_kind(figure)}: {first.value or 'value'}{over}."
    series = [name for name in dict.fromkeys(shown["series"]) if name] if "series" in shown else []
    compared = f" Compared: {_some(series)}." if series else ""
    parts = shown.groupby("panel", sort=False) if "panel" in shown else [("", shown)]
    return whole + compared + "".join(_extremes(str(title), part) for title, part in parts)


def _kind(figure: go.Figure) -> str:
    kinds = {trace.type for trace in traces(figure)}
    if "heatmap" in kinds:
        return "Heat map"
    if "bar" in kinds:
        return "Bars"
    return "Lines" if any("lines" in (trace.mode or "lines") for trace in traces(figure)) else "Points"


def _extremes(title: str, part: pd.DataFrame) -> str:
    lines = [{**line, "said": said} for line, said in zip(part.to_dict("records"), numerals.measures(list(part["value"])), strict=True)]
    high, low = max(lines, key=lambda line: line["value"]), min(lines, key=lambda line: line["value"])
    panel = f" {title}:" if title else ""
    if high["value"] == low["value"]:
        return f"{panel} All values are {high['said']}."
    return f"{panel} Highest {high['said']} ({_where(high)}), lowest {low['said']} ({_where(low)})."


def _where(line: Mapping[Any, Any]) -> str:
    at = line["at"] if isinstance(line["at"], str) else numerals.measures([line["at"]])[0]
    return ", ".join(word for word in (str(line.get("series", "")), at) if word)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more
