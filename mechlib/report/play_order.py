"""In which order the page *Play* offers what can be chosen, which arms it shows together, and how it writes many cells in little room."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from mechlib.attacks.registry import ATTACKS
from mechlib.facts.prompts import FORMATS
from mechlib.localize.registry import LOCALIZERS, PAPER, PLANTED, SITES
from mechlib.report.tables import label

# What cells differ by. Arms are chosen by their kinds, and beside each kind stand the two that all others are compared with.
BY = ("attack", "setting", "step", "format", "group", "arm")
UNEDITED, PROMPTING, PLAIN, TRAINED = "Unedited", "Prompting", "none", " (trained)"
ALWAYS = (UNEDITED, label("fact_lookup"))
OUTCOMES = {"correct": "true answer", "edited": "new answer"}
GROUPS = {"forget": "edited facts, not taught", "relearned": "edited facts, taught", "maintain": "facts to keep",
          "held_out": "facts of no set", "floor": "never-known facts, edited", "unknown": "never-known facts",
          "neighbourhood": "neighbouring facts"}  # fmt: skip
_THEIRS, _OTHER, _PLANTED = "the paper's", "other methods", "where facts were planted"
# Arms that no table names, by what their labels say; the first that fits.
_KINDS = {r"\(norm of ": "changes of equal norm", r"^MLPs right ": "next to fact lookup", r", window |^MLPs \d": "windows of MLPs",
          r", draw \d": "draws of random MLPs", r", place \d": _PLANTED}  # fmt: skip
_TABLE = {name: place for place, name in enumerate((UNEDITED, *map(label, (*LOCALIZERS, *PLANTED, "mlps_before", "mlps_after"))))}
_PAPER, _SITES = {UNEDITED, *map(label, PAPER)}, {*map(label, (*SITES, *PLANTED))}
_ATTACKS = [PROMPTING, *(attack.label for attack in ATTACKS.values())]
_FORMATS = [form.label for form in FORMATS.values()]


def kind(arm: str) -> str:
    """The arms that an arm is shown with."""
    if arm in _PAPER:
        return _THEIRS
    return _PLANTED if arm in _SITES else next((name for said, name in _KINDS.items() if re.search(said, arm)), _OTHER)


def ordered(cells: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Cells as the page offers them: arms as the table of localizations has them, groups and formats as the book does, numbers by size."""
    return sorted(cells, key=_rank)


def _rank(cell: Mapping[str, Any]) -> tuple[Any, ...]:
    # A null attack ("Relearning (permuted answers)") comes after the attack that it is one of.
    attack, form, arm = cell["attack"].partition(" (")[0], cell["format"].removesuffix(TRAINED), cell["arm"]
    attacked = (_place(_ATTACKS, attack), cell["attack"], cell["setting"] != PLAIN, _numbers(cell["setting"]), cell["step"])
    edited = ([_THEIRS, _OTHER, *_KINDS.values()].index(kind(arm)), _TABLE.get(arm, len(_TABLE)), _numbers(arm))
    return *attacked, _place(_FORMATS, form), form, _place([*GROUPS.values()], cell["group"]), *edited


def _place(names: Sequence[str], name: str) -> int:
    return names.index(name) if name in names else len(names)


def _numbers(text: str) -> list[tuple[float, str]]:
    """A text whose numbers are compared as such: draw 39 comes before draw 139."""
    return [(float(number) if number else 0.0, word) for number, word in re.findall(r"(\d+(?:\.\d+)?)|([^\d]+)", text)]


def packed(studies: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Studies as the page holds them: each name once, and of a cell the places of its names, how many facts, and its shares."""
    cells = [cell for study in studies for cell in study["cells"]]
    names = {name: list(dict.fromkeys(cell[name] for cell in cells)) for name in BY}
    places = {name: {one: place for place, one in enumerate(own)} for name, own in names.items()}

    def line(cell: Mapping[str, Any]) -> list[Any]:
        return [*(places[name][cell[name]] for name in BY), cell["n"], *chain(*(cell["shares"][one] for one in OUTCOMES.values()))]

    lines = [{"name": study["name"], "cells": [line(cell) for cell in study["cells"]]} for study in studies]
    return {"names": names, "kinds": [kind(arm) for arm in names["arm"]], "always": ALWAYS, "outcomes": [*OUTCOMES.values()],
            "trained": TRAINED, "studies": lines}  # fmt: skip
