"""The widest studies whose runs are all there, for pages that compute nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mechlib.localize.registry import AT_NORM
from mechlib.report.aggregation import Rows
from mechlib.report.card import count
from mechlib.report.gates import Evidence
from mechlib.report.gathered import Stored, gather
from mechlib.report.notebooks import page_parameters
from mechlib.report.parameters import read_pages, studies
from mechlib.runs.store import Store
from mechlib.runs.study import Study

_HEADING = re.compile(r"^# (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Judged:
    """A study whose runs are there, and what verdicts are drawn from."""

    study: Study
    evidence: Evidence


def judged(book: Path, model: str, store: Store) -> dict[str, Judged]:
    """By task, the widest study whose edits were asked in all formats (see :func:`widest`); with relearning if all its runs are there."""
    found = widest(book, model, store, ("edit", "prompting"), ("unedited",))
    return {task: Judged(study, gather(Stored(study, store))) for task, study in found.items()}


def answered(book: Path, model: str, store: Store, need: str) -> dict[str, tuple[Study, Rows]]:
    """By task, the rows of ``need`` in the widest study that has them (see :func:`widest`)."""
    return {task: (study, Stored(study, store).rows(need)) for task, study in widest(book, model, store, (need,)).items()}


def widest(book: Path, model: str, store: Store, needs: Sequence[str], beside: Sequence[str] = ()) -> dict[str, Study]:
    """By task, the study with the most forget sets, then seeds, of a model's executed pages that ask for ``needs``. Nothing is computed.

    All its runs, those of ``beside`` too, are there. Of studies alike in that, the one with relearning, then with the most localizations
    (edits of rescaled norm aside).
    """
    pages = {page.name: page for page in read_pages(book) if {*needs} <= set(page.needs)}
    found: dict[str, Study] = {}
    shown = [path for path in sorted((book / "results" / model).glob("*/*.ipynb")) if path.stem in pages]
    # Several pages show one study.
    for study in dict.fromkeys(one for path in shown for one in studies(pages[path.stem], page_parameters(path))):
        there = _there(study, (*needs, *beside), store)
        if there and (study.task not in found or _width(study, store) > _width(found[study.task], store)):
            found[study.task] = study
    return found


def _width(study: Study, store: Store) -> tuple[int, int, bool, int]:
    plain = [key for key in study.localizations or () if AT_NORM not in key]
    return study.size.n_sets, study.size.n_seeds, _there(study, ("relearning",), store), len(plain)


def _there(study: Study, needs: Iterable[str], store: Store) -> bool:
    return all(store.has(spec) for need in needs for _, spec in study.runs(need))


def titles(book: Path) -> dict[str, str]:
    """The pages' first headings, by name."""
    def prose(notebook: Any) -> str:
        return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")

    return {page.name: _HEADING.findall(prose(page.notebook))[0] for page in read_pages(book)}


def in_words(found: Mapping[str, Judged]) -> str:
    """Which studies these are, for readers."""
    said = [f"{one.study.kind.label} (profile {one.study.profile}, {count(one.study.size.n_sets, 'forget set')}, "
            f"{count(one.study.size.n_seeds, 'seed')}, relearning {'run' if one.evidence.relearning else 'not run'})"
            for one in found.values()]  # fmt: skip
    return f"Ours are of {'; '.join(said)}." if said else "Nothing of this model's studies was run yet."
