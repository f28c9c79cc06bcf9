"""A figure with all that belongs to it: number, caption, alternative text, its data, its runs and its code."""

from __future__ import annotations

import json
import math
import re
import textwrap
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from mechlib.report import markup, numerals
from mechlib.report.figures.alternative import alternative
from mechlib.report.figures.data import axes, layout, table, traces
from mechlib.report.figures.narrow import narrow
from mechlib.stats import Interval

# Digits of a run's id that tell it from the others.
_SHORT = 8


@dataclass(frozen=True)
class Framed:
    """A figure as pages show it. ``key`` names it on its page (its anchor is ``fig-<key>``); ``runs``: ids of its runs by stage.

    ``found``: what it shows, in a sentence that was computed; it is the figure's title.
    """

    figure: go.Figure
    number: int
    key: str
    caption: str
    runs: Mapping[str, Sequence[str]]
    found: str = ""

    @property
    def bundle(self) -> dict[str, Any]:
        """By MIME type: what JupyterLab draws, what the built book holds, and what a terminal shows."""
        said = " ".join(part for part in (f"Figure {self.number}.", _stop(self.found), re.sub("[`*]", "", self.caption)) if part)
        words = "<br>".join(textwrap.wrap(said, 110))
        title = {"text": words, "font": {"size": 12}, "x": 0, "yref": "container", "automargin": True}
        lab = go.Figure(self.figure).update_layout(title=title)
        return {"application/vnd.plotly.v1+json": _json(lab), "text/html": self.html, "text/plain": alternative(self.figure)}

    @property
    def html(self) -> str:
        """The figure for the built book, whose script draws it, and whose style gives it the colours of the page.

        Where no script runs its data stand in its place, as a table.
        """
        drawn = {**_json(self.figure), "narrow": narrow(self.figure)}
        # A script's text ends at the first "</script": no "<" is in it.
        source = json.dumps(drawn, ensure_ascii=False).replace("<", "\\u003c")
        words, said = markup.text(alternative(self.figure)), _stop(self.caption)
        title = f' <strong class="mech-found">{markup.text(_stop(self.found))}</strong>' if self.found else ""
        return (
            f'<figure class="mech-figure" id="fig-{self.key}">'
            f'<div class="mech-plot" role="img" aria-label="{words}">'
            f'<div class="plotly-graph-div" style="height:{layout(self.figure).height or 450}px"></div>'
            f'<script type="application/json">{source}</script></div>'
            f'<figcaption><a class="mech-number" href="#fig-{self.key}">Figure {self.number}.</a>{title} {_inline(said)}</figcaption>'
            f"{self._sources()}</figure>"
        )

    def _sources(self) -> str:
        shown, code = table(self.figure), (layout(self.figure).meta or {}).get("drawn_by", "")
        csv = b64encode(shown.to_csv(index=False).encode()).decode()
        runs = "".join(map(_runs, self.runs, self.runs.values()))
        kept = f"<p>Runs, by stage (a link: the <code>run.json</code> of all of them):</p><ul>{runs}</ul>" if runs else ""
        file = f'<a href="code:{code.rpartition(".")[0]}"><code>{code}</code></a>' if code else "the page"
        return (
            '<details class="mech-data" open><summary>Data, runs and code</summary>'
            f'<p><a download="{self.key}.csv" href="data:text/csv;charset=utf-8;base64,{csv}">Data as CSV</a>; drawn by {file}.</p>'
            f'{kept}<div class="mech-scroll">{_html(self.figure, shown)}</div></details>'
        )


def _runs(stage: str, ids: Sequence[str]) -> str:
    """The runs of a stage; the build knows where what is told of them is."""
    name, listed = markup.text(stage), ", ".join(f"<code>{one[:_SHORT]}</code>" for one in ids)
    return f'<li><a href="runs:{name}">{name}</a>: {listed}</li>'


def _stop(sentence: str) -> str:
    return sentence if not sentence or sentence.endswith((".", "?")) else f"{sentence}."


def _json(figure: go.Figure) -> dict[str, Any]:
    """Data and layout, in which no text is markup."""
    safe: dict[str, Any] = markup.figure(json.loads(str(figure.to_json())))
    return safe


def _html(figure: go.Figure, shown: pd.DataFrame) -> str:
    """The data as a table: series across, unless they share no places."""
    if shown.empty:
        return ""
    first = axes(figure, traces(figure)[0])
    panels = [part["value"] for _, part in shown.groupby("panel", sort=False)] if "panel" in shown else [shown["value"]]
    said = {place: value for own in panels for place, value in zip(own.index, numerals.measures(list(own)), strict=True)}
    text = [_cell(line, said[place]) for place, line in zip(shown.index, shown.to_dict("records"), strict=True)]
    rows = [name for name in ("panel", "at") if name in shown]
    names = {"at": first.at or "at", "value": first.value or "value"}
    if "series" not in shown or shown.duplicated([*rows, "series"]).any():
        kept = [name for name in ("panel", "series", "at", "note") if name in shown]
        wide = shown[kept].assign(value=text)
    else:
        wide = shown.assign(text=text).pivot_table(index=rows, columns="series", values="text", aggfunc="first", sort=False, dropna=False)
        wide = wide.loc[wide.notna().any(axis=1)].reset_index()
        wide.columns.name = None
    wide["at"] = [at if isinstance(at, str) else numerals.measures([at])[0] for at in wide["at"]]
    return wide.rename(columns=names).to_html(index=False, border=0, na_rep="", classes="mech-table")


def _cell(line: Mapping[Any, Any], value: str) -> str:
    low, high = line.get("low", math.nan), line.get("high", math.nan)
    return value if low is None or low != low else str(Interval(line["value"], low, high))


def _inline(caption: str) -> str:
    """A caption's text, in which only `code` and *emphasis* are marked."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", markup.text(caption))
    return re.sub(r"\*([^*]+)\*", r"<em>\1</em>", text)
