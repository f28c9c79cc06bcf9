"""The front page: how every claim of the book stands, from whatever was run, and the page that decides it. No run is started here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mechlib.checks import ParameterError
from mechlib.errors import MechlibError
from mechlib.report import verdicts
from mechlib.report.book_contents import folders_of, results_folder
from mechlib.report.book_studies import BookStudy, declared_studies
from mechlib.report.claims import MISSED, Claim, Claims, declared
from mechlib.report.gates import Evidence
from mechlib.report.gathered import INSIDE, Stored, gather
from mechlib.report.notebooks import PageError, page_parameters
from mechlib.report.parameters import study as study_of
from mechlib.report.standing import DECIDED_ON, Standing, standings
from mechlib.runs.impossible import ImpossibleError
from mechlib.runs.places import checkout
from mechlib.runs.profiles import PROFILES
from mechlib.runs.spec import RunSpec
from mechlib.runs.store import Store, default_store
from mechlib.runs.study import Study
from mechlib.runs.tasks import TASKS

# The runs that verdicts rest on, those that may be missing, and what they rest on where facts are looked for, and nothing is edited.
_NEEDED, _BESIDE, _SOUGHT = ("edit", "unedited", "prompting"), ("relearning", "able", *INSIDE.values()), ("know", "found")
_RUNS_OF = {"transfer": "prompting", "relearning": "relearning", MISSED: "found", **INSIDE}


@dataclass(frozen=True)
class Book:
    """A book in whose results and store the front page of a ``model`` looks; ``studies``: those of the book."""

    root: Path
    store: Store
    model: str
    studies: Sequence[BookStudy]

    @cached_property
    def pages(self) -> list[Path]:
        """The executed pages of the model that can decide a claim, those of the book's studies first."""
        results = results_folder(self.root, Study(model=self.model).model_spec.name)
        return [path for folder in folders_of(self.root) if folder.parent == results for path in sorted(folder.glob("*.ipynb"))
                if path.stem in DECIDED_ON.values()]  # fmt: skip

    def study(self, task: str, page: str = "") -> Study | None:
        """The study that decides the claims of a page about a task (as usual, those that any page may decide): the first that was run.

        Those of the book come first, then the usual ones, then those of executed pages.
        """
        return next((one for one in self._candidates(task, page) if all(self.has(one, need) for need in _needed(one))), None)

    def _candidates(self, task: str, page: str) -> Iterator[Study]:
        if task not in TASKS:
            return
        for named, own in self._declared:
            if named.task == task and (not page or page in named.pages):
                yield own
        of_pages = [one for path, one in self._shown.items() if page in ("", path.stem) and one.task == task]
        for some in (self._usual[task], of_pages):
            yield from sorted(some, key=lambda one: -one.size.n_sets)

    # A study knows its runs once it was asked for them, so it is made once for all pages.
    @cached_property
    def _declared(self) -> list[tuple[BookStudy, Study]]:
        return [(named, named.of(self.model)) for named in self.studies]

    @cached_property
    def _usual(self) -> Mapping[str, list[Study]]:
        return {task: [Study(model=self.model, profile=profile, task=task) for profile in PROFILES] for task in TASKS}

    @cached_property
    def _shown(self) -> Mapping[Path, Study]:
        """The studies that executed pages show, without pages that do not say it or can no longer be asked."""
        known = {one: one for one in (*(own for _, own in self._declared), *(one for some in self._usual.values() for one in some))}
        shown = {path: _shown(path) for path in self.pages}
        return {path: known.setdefault(one, one) for path, one in shown.items() if one}

    def about(self, task: str) -> str:
        """What the facts of a task are called: as the book's studies of it are."""
        return next((one.title for one in self.studies if one.task == task), TASKS[task].label if task in TASKS else task)

    def has(self, study: Study, need: str) -> bool:
        """Whether all of these runs are there; a study that cannot have such runs has none."""
        try:
            return all(self.store.has(spec) for _, spec in study.runs(need))
        except ParameterError:
            return False

    def page(self, claim: Claim, study: Study | None) -> Path | None:
        """The executed page that decides a claim: the one that shows these very runs, or, without a rule, the first about the task."""
        there = [path for path in self.pages if path.stem == DECIDED_ON.get(claim.outcome)]
        if claim.rule == "none":
            return next((path for path in there if path in self._shown and self._shown[path].task == claim.task), None)
        same = (path for path in there if study and path in self._shown and _same(self._shown[path], study, _RUNS_OF[claim.measure]))
        return next(same, None)


@dataclass(frozen=True)
class Decided:
    """A claim of the front page: how it stands, by which study, and where the page is that decides it (``None``: not there).

    ``about``: what the facts of its task are called.
    """

    standing: Standing
    study: Study | None
    page: Path | None
    about: str = ""

    @property
    def verdict(self) -> str:
        """All its verdicts with their counts; what has no rule is described, once the page that does so is there."""
        return verdicts.NOT_RUN if self.standing.claim.rule == "none" and self.page is None else self.standing.verdict


def decided(book: Book, claims: Claims, known: Mapping[Study, Evidence] | None = None) -> list[Decided]:
    """Every claim of the claims file, in its order; ``known``: evidence of studies that was gathered already."""
    by_study: dict[Study | None, list[tuple[str, str]]] = {}
    for task, page in _asked(claims):
        by_study.setdefault(book.study(task, page), []).append((task, page))
    found: dict[str, Decided] = {}
    # Study after study: to gather evidence takes seconds, several pages decide by one study, and together they would fill the memory.
    for study, pages in by_study.items():
        evidence = (known or {}).get(study) or _evidence(book, study) if study else None
        for task, page in pages:
            outcomes = {one.outcome for one in claims.of_task(task) if DECIDED_ON.get(one.outcome, "") == page}
            own = evidence and evidence.about(outcomes)
            for standing in standings(_lines(claims.of_families(task, outcomes), task, own)):
                if standing.claim.outcome in outcomes:
                    found[standing.claim.key] = Decided(
                        standing, study if standing.run else None, book.page(standing.claim, study), book.about(task)
                    )
    return [found[one.key] for one in claims.claim]


def _asked(claims: Claims) -> list[tuple[str, str]]:
    """Tasks, each with the pages that decide a claim about it ("": none does)."""
    return list(dict.fromkeys((one.task, DECIDED_ON.get(one.outcome, "")) for one in claims.claim))


def _evidence(book: Book, study: Study) -> Evidence | None:
    try:
        return gather(Stored(study, book.store))
    except ImpossibleError:  # a damaged run, which is for the page that shows it to compute again
        return None


def _lines(claims: Claims, task: str, evidence: Evidence | None) -> list[verdicts.Line]:
    if evidence is not None:
        return verdicts.lines(claims, evidence)
    return [verdicts.Line(one, rival) for one in claims.of_task(task) for rival in one.rivals]


def looked_at(book: Book, claims: Claims) -> list[str]:
    """What the front page of a book is made from, without reading it: ids of runs, and names of pages."""
    found = [f"{path.parent.name}/{path.stem}" for path in book.pages]
    for study in (study for where in _asked(claims) if (study := book.study(*where))):
        found += rests_on(book, study)
    return list(dict.fromkeys(found))


def rests_on(book: Book, study: Study) -> dict[str, RunSpec]:
    """The runs of a study that its claims' verdicts rest on, by id, as far as they are there."""
    needs = [need for need in (*_needed(study), *(() if study.kind.spread else _BESIDE)) if book.has(study, need)]
    return {spec.id: spec for need in needs for _, spec in study.runs(need)}


def behind(book: Book, studies: Iterable[Study]) -> dict[Study, list[Mapping[str, Any]]]:
    """How the runs behind each study's verdicts were computed; a run that several share is told of the first."""
    seen, found = set[str](), dict[Study, list[Mapping[str, Any]]]()
    for study in dict.fromkeys(studies):
        own = {key: spec for key, spec in rests_on(book, study).items() if key not in seen}
        seen |= own.keys()
        found[study] = [book.store.manifest(spec) for spec in own.values()]
    return found


def _needed(study: Study) -> tuple[str, ...]:
    return _SOUGHT if study.kind.spread else _NEEDED


def _shown(path: Path) -> Study | None:
    """The study that an executed page shows, if it says so and can still be asked."""
    try:
        return study_of(page_parameters(path))
    except (PageError, MechlibError, TypeError):
        return None


def _same(one: Study, other: Study, need: str) -> bool:
    return one == other or {spec.id for _, spec in one.runs(need)} == {spec.id for _, spec in other.runs(need)}


def book_of(model: str) -> Book:
    """The book that the package lies beside, as a model's front page sees it; raises :class:`TypedError` where there is none."""
    declared()
    root = checkout()
    assert root is not None  # else there are no claims
    return Book(root, default_store(), model, declared_studies())


def open_book(model: str, known: Mapping[Study, Evidence] | None = None) -> list[Decided]:
    """How every claim stands in that book (:func:`decided`)."""
    return decided(book_of(model), declared(), known)
