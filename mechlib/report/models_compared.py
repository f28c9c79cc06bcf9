"""Every model that the book has results of, side by side: how each claim stands, from whatever was run. No run is started here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from mechlib.errors import MechlibError
from mechlib.report.book_contents import folders_of
from mechlib.report.card import count
from mechlib.report.claims import Claims
from mechlib.report.front import Book, Decided, decided
from mechlib.report.front_text import general
from mechlib.report.notebooks import PageError, page_parameters

ABSENT = "not on this machine"


def models(root: Path) -> dict[str, str]:
    """By the name of its folder of results, the model as its pages were asked for it."""
    found: dict[str, str] = {}
    for folder in folders_of(root):
        for path in sorted(folder.glob("*.ipynb")):
            try:
                found.setdefault(folder.parent.name, str(page_parameters(path)["MODEL"]))
            except (PageError, KeyError):
                continue
    return found


def of_models(book: Book, claims: Claims) -> dict[str, list[Decided] | None]:
    """Every claim for each model; ``None`` where the model cannot be reached, so that nothing says which runs are its own."""
    found: dict[str, list[Decided] | None] = {}
    for name, model in models(book.root).items():
        try:
            found[name] = decided(replace(book, model=model), claims)
        except (MechlibError, OSError):
            found[name] = None
    return found


def compared(found: Mapping[str, list[Decided] | None], claims: Claims) -> pd.DataFrame:
    """A line a claim, a column a model: the verdicts and over how many forget sets."""
    table = pd.DataFrame({"claim": [one.sentence for one in claims.claim]})
    for name, own in found.items():
        table[name] = [ABSENT] * len(table) if own is None else [_told(one) for one in own]
    return table


def side_by_side(found: Mapping[str, list[Decided] | None]) -> list[Decided]:
    """The general claims of all models, each called by its facts and its model."""
    return [replace(one, about=f"{one.about}, {name}") for name, own in found.items() for one in general(own or ())]


def _told(one: Decided) -> str:
    sets = one.standing.n_sets
    return f"{one.verdict} ({count(sets, one.standing.claim.over)})" if sets else one.verdict
