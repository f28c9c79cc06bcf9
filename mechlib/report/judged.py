"""The widest studies whose runs are all there, for pages that compute nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mechlib.localize.registry import AT_NORM
from mechlib.report.card import count
from mechlib.report.gates import Evidence
from mechlib.report.gathered import Stored, gather
from mechlib.report.notebooks import page_parameters
from mechlib.report.parameters import read_pages, studies
from mechlib.runs.store import Store
from mechlib.runs.study import Study

# What verdicts need, and what only some of them do.
NEEDED, BESIDE = ("edit", "prompting", "unedited"), "relearning"
_HEADING = re.compile(r"^# (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Judged:
    """A study whose runs are there, and what verdicts are drawn from."""

    study: Study
    evidence: Evidence


def widest(book: Path, model: str, store: Store) -> dict[str, Judged]:
    """By task, the study of a model's executed pages with the most forget sets, then seeds, whose runs are all there; nothing is computed.

    Of studies alike in that, the one with relearning, then with the most localizations (edits of rescaled norm aside). Without all runs
    of relearning it has none of them.
    """
    pages = {page.name: page for page in read_pages(book) if {"edit", "prompting"} <= set(page.needs)}
    found: dict[str, Study] = {}
    shown = [path for path in sorted((book / "results" / model).glob("*/*.ipynb")) if path.stem in pages]
    # Several pages show one study.
    for study in dict.fromkeys(one for path in shown for one in studies(pages[path.stem], page_parameters(path))):
        if _there(study, NEEDED, store) and (study.task not in found or _width(study, store) > _width(found[study.task], store)):
            found[study.task] = study
    return {task: Judged(study, gather(Stored(study, store))) for task, study in found.items()}


def _width(study: Study, store: Store) -> tuple[int, int, bool, int]:
    plain = [key for key in study.localizations or () if AT_NORM not in key]
    return study.size.n_sets, study.size.n_seeds, _there(study, (BESIDE,), store), len(plain)


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
