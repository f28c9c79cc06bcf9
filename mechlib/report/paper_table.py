"""The map of the paper as a table: of an item its name, three cells, and why they differ; many comparisons are folded away."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from mechlib.report import markup
from mechlib.report.paper import Row, Told

_HEADINGS = ("the paper", "released runs", "here")
# So many lines of one part are shown at once.
_FEW = 3


def table(found: Sequence[Row]) -> str:
    """The map as HTML, under the headings of the paper's sections. On a narrow screen its cells stand under each other."""
    head = "".join(f"<th>{name}</th>" for name in _HEADINGS)
    body = "".join(_section(name, list(own)) for name, own in groupby(found, key=lambda row: row.item.section))
    return f'<table class="mech-map"><thead><tr>{head}</tr></thead>{body}</table>'


def _section(name: str, rows: Sequence[Row]) -> str:
    heading = f'<tr class="mech-section"><th colspan="{len(_HEADINGS)}">{markup.text(name)}</th></tr>'
    return f"<tbody>{heading}{''.join(map(_row, rows))}</tbody>"


def _row(row: Row) -> str:
    item = row.item
    cells = (markup.text(item.paper), _told(row.released), "".join(map(_told, row.here)))
    named = "".join(f'<td data-name="{name}">{cell}</td>' for name, cell in zip(_HEADINGS, cells, strict=True))
    what = f'<tr><td colspan="{len(_HEADINGS)}"><b>{markup.text(item.shows)}</b> ({markup.text(item.place)})</td></tr>'
    why = f'<tr class="mech-why"><td colspan="{len(_HEADINGS)}"><i>Why they differ:</i> {markup.text(item.why)}</td></tr>'
    return f"{what}<tr>{named}</tr>{why}"


def _told(one: Told) -> str:
    lines = "".join(f"<br>{markup.text(line)}" for line in one.lines)
    about = markup.text(one.about) if not one.page or one.long else markup.page_link(one.page, one.about)
    there = f"<br>{markup.page_link(one.page, 'the page that decides it')}" if one.page and one.long else ""
    if one.long and len(one.lines) > _FEW:
        return f"<details><summary>{about}</summary>{lines.removeprefix('<br>')}{there}</details>"
    return f"<div>{about}{':' * bool(lines)}{lines}{there}</div>"
