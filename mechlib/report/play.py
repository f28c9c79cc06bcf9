"""Sphinx extension: the page *Play*, on which a reader chooses among the kept rows without running anything.

The rows under ``book/results/rows`` are averaged when the book is built, and lie in the page as a small table; ``play.js`` draws from it.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mechlib.report.aggregation import aggregate
from mechlib.report.figures.style import COLOURS
from mechlib.report.tables import label
from mechlib.runs.spec import digest

PAGE = "book/play"
SCRIPT = Path(__file__).with_name("play.js")
_BY = ("arm", "attack", "setting", "step", "format", "group")
_OUTCOMES = {"correct": "true answer", "edited": "new answer"}
_GROUPS = {"forget": "edited facts, not taught", "relearned": "edited facts, taught", "maintain": "facts to keep",
           "held_out": "facts of no set", "unknown": "never-known facts", "neighbourhood": "neighbouring facts"}  # fmt: skip


def setup(app: Any) -> dict[str, bool]:
    """Entry point of the extension."""
    app.connect("html-page-context", _embed)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _embed(app: Any, page: str, _template: str, context: dict[str, Any], _doctree: Any) -> None:
    if page == PAGE:
        colours = {label(key): colour for key, colour in COLOURS.items()}
        data = {"studies": play_data(Path(app.srcdir) / "book" / "results" / "rows"), "colours": colours}
        table = json.dumps(data).replace("<", "\\u003c")
        script = SCRIPT.read_text(encoding="utf-8")
        context["body"] += f'<script type="application/json" id="play-data">{table}</script><script>{script}</script>'


def play_data(kept: Path) -> list[dict[str, Any]]:
    """The studies among kept rows, each with its name and its cells: the share of an outcome with a 95 % interval, and how many facts.

    Rows of a study share model, facts, sets and the edits' most steps; the unedited model's belong to all studies of these facts.
    """
    edits = {about["id"]: about for about, _ in _archives(kept, "edit")}
    edited: dict[str, list[dict[str, Any]]] = {}
    unedited: dict[str, list[dict[str, Any]]] = {}
    names: dict[str, tuple[str, str]] = {}
    for stage in ("answers", "attack"):
        for about, rows in _archives(kept, stage):
            found = _shown(about, rows, edits)
            if found is None:
                continue
            (edited if found.study else unedited).setdefault(found.study or found.facts, []).extend(found.rows)
            if found.study:
                names[found.study] = found.facts, found.name
    ordered = sorted(names.items(), key=lambda each: each[1][1])
    sets = {study: len({row["forget_set"] for row in rows}) for study, rows in edited.items()}
    return [
        {"name": f"{name}, forget sets: {sets[study]}", "cells": _cells([*unedited.get(facts, ()), *edited[study]])}
        for study, (facts, name) in ordered
    ]


@dataclass(frozen=True)
class _Shown:
    """What one run brings: its rows with what they can be chosen by, and of which facts and study they are ("": the unedited model's)."""

    facts: str
    study: str
    name: str
    rows: list[dict[str, Any]]


def _shown(about: Mapping[str, Any], rows: list[dict[str, Any]], edits: Mapping[str, Mapping[str, Any]]) -> _Shown | None:
    """``None`` for rows that the page does not show: answers before attacks (those hold them, too), and edits whose rows are not kept."""
    settings, edit = about["asked"]["settings"], about["asked"]["inputs"].get("edit")
    attacked = about["asked"]["stage"] == "attack"
    asked = settings["asked"] if attacked else settings
    if (edit is not None and edit not in edits) or (not attacked and "unknown" in asked["groups"]):
        return None
    whose, about_set = edits.get(edit or "", {}), asked["about"]
    arm = label(whose["value"]["localization"]["name"]) if whose else "Unedited"
    more = {"arm": arm, "attack": about["label"].partition(":")[0] if attacked else "Prompting", "forget_set": about_set["forget_set"]}
    plain = {} if attacked else {"setting": "none", "step": 0}
    shown = [{**row, **more, **plain, "format": label(row["format"])} for row in rows]
    sets, facts = about_set["splits"], digest(about_set["subject"], about_set["splits"])
    if not whose:
        return _Shown(facts, "", "", shown)
    training = whose["asked"]["settings"]["training"]
    model = whose["value"]["localization"]["provenance"].get("model", "a model")
    size = f" of {sets['set_size']}" if sets.get("set_size") else " of all"
    name = f"{model}, {rows[0]['relation'] if len({row['relation'] for row in rows}) == 1 else 'world facts'}, " \
           f"sets{size} facts, at most {training['steps']} steps"  # fmt: skip
    return _Shown(facts, digest(facts, training["steps"], training.get("stop_at")), name, shown)


def _cells(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    cells: dict[tuple[Any, ...], dict[str, Any]] = {}
    for outcome, name in _OUTCOMES.items():
        for found in aggregate(rows, _BY, outcome, fact=("subject", "relation")).to_dict("records"):
            place = tuple(found[each] for each in _BY)
            cell = cells.setdefault(place, {**dict(zip(_BY, place, strict=True)), "n": found["n"], "shares": {}})
            cell["shares"][name] = [round(float(found[each]), 4) for each in ("share", "low", "high")]
    return [{**cell, "group": _GROUPS.get(cell["group"], cell["group"])} for cell in cells.values()]


def _archives(kept: Path, stage: str) -> Iterator[tuple[Mapping[str, Any], list[dict[str, Any]]]]:
    for path in sorted((kept / stage).glob("*.json.gz")):
        found = json.loads(gzip.decompress(path.read_bytes()))
        yield found["about"], found["rows"]
