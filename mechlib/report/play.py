"""Sphinx extension: the page *Play*, on which a reader chooses among the kept rows without running anything.

The rows under ``book/results/rows`` are averaged when the book is built, and lie in the page as a small table; ``play.js`` draws from it.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mechlib.facts.relations import SPORT
from mechlib.report.aggregation import aggregate
from mechlib.report.book_studies import BookStudy, read_studies
from mechlib.report.figures.style import COLOURS
from mechlib.report.play_order import BY, GROUPS, OUTCOMES, PLAIN, PROMPTING, TRAINED, UNEDITED, ordered, packed
from mechlib.report.robustness import setting_label
from mechlib.report.tables import label
from mechlib.runs.profiles import PROFILES
from mechlib.runs.spec import digest
from mechlib.runs.study import Study
from mechlib.runs.tasks import TASKS

PAGE = "book/play"
SCRIPT = Path(__file__).with_name("play.js")
_SITES = (label("planted_site"), label("other_site"))
# What a page may be given besides model and profile: the study is called the same, and its steps are said.
_GIVEN = ("n_sets", "seed", "steps")


def setup(app: Any) -> dict[str, bool]:
    """Entry point of the extension."""
    app.connect("html-page-context", _embed)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _embed(app: Any, page: str, _template: str, context: dict[str, Any], _doctree: Any) -> None:
    if page == PAGE:
        colours = {label(key): colour for key, colour in COLOURS.items()}
        book = Path(app.srcdir) / "book"
        data = {**packed(play_data(book / "results" / "rows", read_studies(book / "studies.toml"))), "colours": colours}
        table = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
        script = SCRIPT.read_text(encoding="utf-8")
        context["body"] += f'<script type="application/json" id="play-data">{table}</script><script>{script}</script>'


def play_data(kept: Path, declared: Sequence[BookStudy] = ()) -> list[dict[str, Any]]:
    """The studies among kept rows, each with its name and its cells: the share of an outcome with a 95 % interval, and how many facts.

    Rows of a study share model, facts, sets and the edits' most steps; the unedited model's belong to all studies of these facts.
    Studies of the book (``declared``) have its names and come first, in its order.
    """
    known = _Known(declared)
    edits = {about["id"]: about for about, _ in _archives(kept, "edit")}
    edited: dict[str, list[dict[str, Any]]] = {}
    unedited: dict[str, list[dict[str, Any]]] = {}
    names: dict[str, tuple[str, int, str]] = {}
    trained: dict[str, set[str]] = {}
    for stage in ("answers", "attack"):
        for about, rows in _archives(kept, stage):
            found = _shown(about, rows, edits)
            if found is None:
                continue
            (edited if found.study else unedited).setdefault(found.study or found.facts, []).extend(found.rows)
            if found.study:
                names[found.study] = found.facts, *known.named(found)
                trained.setdefault(found.study, set()).add(found.trained)
    ordered = sorted(names.items(), key=lambda each: each[1][1:])
    sets = {study: len({row["forget_set"] for row in rows}) for study, rows in edited.items()}
    return [
        {"name": f"{name}, forget sets: {sets[study]}", "cells": _cells([*unedited.get(facts, ()), *edited[study]], trained[study])}
        for study, (facts, _, name) in ordered
    ]


@dataclass(frozen=True)
class _Shown:
    """What one run brings: its rows with what they can be chosen by, and of which facts and study they are ("": the unedited model's).

    ``asked``: what tells studies apart: facts, sets, most steps and loss. ``trained``: the format in which the edit was trained.
    """

    facts: str
    rows: list[dict[str, Any]]
    study: str = ""
    model: str = ""
    asked: Mapping[str, Any] = field(default_factory=dict[str, Any])
    trained: str = ""


def _shown(about: Mapping[str, Any], rows: list[dict[str, Any]], edits: Mapping[str, Mapping[str, Any]]) -> _Shown | None:
    """``None`` for rows that the page does not show: answers before attacks (those hold them, too), and edits whose rows are not kept."""
    settings, edit = about["asked"]["settings"], about["asked"]["inputs"].get("edit")
    attacked = about["asked"]["stage"] == "attack"
    asked = settings["asked"] if attacked else settings
    if (edit is not None and edit not in edits) or (not attacked and "unknown" in asked["groups"]):
        return None
    whose, about_set = edits.get(edit or "", {}), asked["about"]
    arm = _arm(whose) if whose else UNEDITED
    more = {"arm": arm, "attack": about["label"].partition(":")[0] if attacked else PROMPTING, "forget_set": about_set["forget_set"]}
    plain = {} if attacked else {"setting": PLAIN, "step": 0}
    labels = {form: label(form) for form in {row["format"] for row in rows}}
    shown = [{**row, **more, **plain, "format": labels[row["format"]]} for row in (_from_the_start(rows) if attacked else rows)]
    facts = digest(about_set["subject"], about_set["splits"])
    if not whose:
        return _Shown(facts, shown)
    training = whose["asked"]["settings"]["training"]
    # Facts planted early or late and facts planted everywhere are of one table: what is edited tells them apart.
    told = {"facts": about_set["subject"]["facts"], "splits": about_set["splits"], "steps": training["steps"],
            "loss": training.get("loss", "injection"), "sites": arm in _SITES}  # fmt: skip
    model = whose["value"]["localization"]["provenance"].get("model", "a model")
    form = label(whose["asked"]["settings"]["about"]["format"]["key"])
    return _Shown(facts, shown, digest(facts, training.get("stop_at"), told), model, told, form)


def _from_the_start(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows of an attack that goes on in steps: what was asked before it is the first step of each of its settings."""
    taken: dict[str, int] = {}
    for row in rows:
        taken[row["setting"]] = min(row["step"], taken.get(row["setting"], row["step"]))
    settings = [setting for setting in taken if setting != PLAIN]
    if not settings or not all(taken[setting] for setting in settings):
        return [*rows]
    return [{**row, "setting": setting} for row in rows for setting in ([row["setting"]] if row["setting"] != PLAIN else settings)]


def _arm(edit: Mapping[str, Any]) -> str:
    """What a study calls an edit: its components may have another name of their own, as those into which facts were planted have."""
    name = str(edit["label"]).removeprefix("edit: ").rpartition(", forget set")[0]
    return name or label(edit["value"]["localization"]["name"])


class _Known:
    """The studies that rows may be of: the book's in their order, then those of every profile and task as usual."""

    def __init__(self, declared: Sequence[BookStudy]) -> None:
        titles = {one.task: one.title for one in reversed(declared)}
        self._of: list[tuple[str, str, Mapping[str, Any]]] = [(one.title, one.profile, _told(one.of(Study.model))) for one in declared]
        for profile in PROFILES if declared else ():
            for task, kind in TASKS.items():
                self._of.append((titles.get(task, kind.label), profile, _told(Study(profile=profile, task=task))))

    def named(self, found: _Shown) -> tuple[int, str]:
        """The place of a study among those that are known, and its name; one that is not known is named by what was asked."""
        for given in ((), _GIVEN):
            for place, (title, profile, told) in enumerate(self._of):
                if _without(given, told) == _without(given, found.asked):
                    steps = f", at most {found.asked['steps']} steps" if given else ""
                    return place, f"{found.model}, {title}, profile {profile}{steps}"
        size = found.asked["splits"].get("set_size") or "all"
        facts = "athletes" if {row["relation"] for row in found.rows} == {SPORT.key} else "world facts"
        return len(self._of), f"{found.model}, {facts}, sets of {size} facts, at most {found.asked['steps']} steps"


def _without(names: Sequence[str], told: Mapping[str, Any]) -> Mapping[str, Any]:
    splits = {name: value for name, value in told.get("splits", {}).items() if name not in names}
    return {**{name: value for name, value in told.items() if name not in names}, "splits": splits}


def _told(study: Study) -> Mapping[str, Any]:
    splits = {name: value for name, value in asdict(study.splits).items() if value is not None}
    return {"facts": study.table.fingerprint, "splits": splits, "steps": study.size.steps, "loss": study.kind.loss,
            "sites": len(study.sites) > 1}  # fmt: skip


def _cells(rows: list[dict[str, Any]], trained: Collection[str]) -> list[Mapping[str, Any]]:
    cells: dict[tuple[Any, ...], dict[str, Any]] = {}
    for outcome, name in OUTCOMES.items():
        for found in aggregate(rows, BY, outcome, fact=("subject", "relation")).to_dict("records"):
            place = tuple(found[each] for each in BY)
            cell = cells.setdefault(place, {**dict(zip(BY, place, strict=True)), "n": found["n"], "shares": {}})
            cell["shares"][name] = [round(float(found[each]), 3) for each in ("share", "low", "high")]
    named = [{**cell, "group": GROUPS.get(cell["group"], cell["group"]), "setting": setting_label(cell["setting"]),
              "format": cell["format"] + TRAINED * (cell["format"] in trained)} for cell in cells.values()]  # fmt: skip
    return ordered(named)


def _archives(kept: Path, stage: str) -> Iterator[tuple[Mapping[str, Any], list[dict[str, Any]]]]:
    for path in sorted((kept / stage).glob("*.json.gz")):
        found = json.loads(gzip.decompress(path.read_bytes()))
        yield found["about"], found["rows"]
