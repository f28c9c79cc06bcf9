"""``make execute``: plan, compute what is missing, execute the pages that changed, render."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mechlib.models import on_disk
from mechlib.models.prepare import prepare
from mechlib.report.asked import asked, left_out
from mechlib.report.book import build
from mechlib.report.book_contents import results_folder
from mechlib.report.book_studies import FILE, BookStudy, read_studies, shown_by
from mechlib.report.folders import all_changes, changed, in_words
from mechlib.report.folders import place as place_of
from mechlib.report.notebooks import Job, PageError, check_writable, execute_page, impossible_page, is_current, page_fingerprint
from mechlib.report.parameters import Page, read_pages, studies
from mechlib.report.titles import titled_by
from mechlib.runs.board import Wanted
from mechlib.runs.engines import Asked, at_once, place
from mechlib.runs.fitting import fitted
from mechlib.runs.locks import locked
from mechlib.runs.plan import Plan, check, plan
from mechlib.runs.progress import Say, duration
from mechlib.runs.runner import Runner
from mechlib.runs.spec import RunSpec
from mechlib.runs.store import Store, default_store
from mechlib.runs.study import Study


def execute(
    root: Path, given: Mapping[str, Any], parameters: str, say: Say, only: str = "", jobs: int | None = 1, cluster: Asked | None = None,
    study: str = "",
) -> Path:  # fmt: skip
    """Run every page for a model and a profile and render the book; returns its index page.

    Everything is checked before any work. The pages' missing runs are computed in the pages' order,
    so that the model is converted and loaded once and progress can be told; a page is executed, and only reads
    them, when all of its own are there. A page with runs that this model and these facts do not allow says so, and the
    others go on. ``given``, ``parameters``, ``only`` and ``study`` are those of :func:`mechlib.report.asked.asked`. ``jobs``: how many
    runs are computed at once (``None``: what suits the machine). ``cluster``: what its jobs get, to compute the runs on one.
    """
    values, pages = asked(root, given, parameters, only, study)
    owned = {page.name: studies(page, values[page.name]) for page in pages}
    needed = {name: [(study, _needed(page, study)) for study in owned[name]] for name, page in zip(owned, pages, strict=True)}
    store = default_store()
    store.check_writable()
    fronts, pages = [page for page in pages if page.front], [page for page in pages if not page.front]
    changes, known = all_changes(read_pages(root / "book"), values), read_studies(root / "book" / FILE)
    named = {page.name: shown_by(page, values[page.name], known) for page in pages}
    jobs_of = [_job(root, page, values[page.name], owned[page.name][0], needed[page.name], changes, named[page.name]) for page in pages]
    for folder in {job.target.parent for job in jobs_of}:
        check_writable(folder)
    for folder in sorted({job.target.parent for job in jobs_of if job.changed}):
        say(f"not as usual: {in_words(changes)}; such pages are in {folder.relative_to(root)}, those of before stay")
    waiting = {n: job for n, job in enumerate(jobs_of, start=1) if not is_current(job.target, job.otherwise)}
    everything = [each for job in waiting.values() for each in needed[job.page.name]]
    here = place(everything, store, jobs, cluster)
    needed = {name: fitted(own, store, here) for name, own in needed.items()}
    everything = [each for job in waiting.values() for each in needed[job.page.name]]
    made = plan(everything, store, here)
    check(made)
    pool = at_once(everything, store, say, made, cluster)
    for line in left_out(root, [*fronts, *pages], only, study):
        say(line)
    if made.missing:
        say(str(made).splitlines()[0])
        for spec in {study.model: study.model_spec for study, _ in everything}.values():
            prepare(spec, say)
    for number, job in enumerate(jobs_of, start=1):
        if number not in waiting:
            say(f"page {number}/{len(pages)}  {job.page.name}: up to date, and impossible: {impossible_page(job.target)}")
    with pool as runs:
        while waiting:
            missing = {number: _missing(needed[job.page.name], store) for number, job in waiting.items()}
            # The first page whose runs are there; if there is none, the first.
            number = min(waiting, key=lambda number: (bool(missing[number]), number))
            job = waiting.pop(number)
            head, own = f"page {number}/{len(pages)}  {job.page.name}", needed[job.page.name]
            if not missing[number] and is_current(job.target, job.fingerprint):
                say(f"{head}: up to date")
                continue
            say(f"{head}: {missing[number]} runs to compute")
            started = time.monotonic()
            runs.wait(own)
            found = {spec.id: runs.impossible[spec.id] for _, specs in own for spec in specs if spec.id in runs.impossible}
            with _alone(root, job.target, lambda head=head: say(f"{head}: another command executes it; waiting")):
                reason = None if is_current(job.target, job.fingerprint) else execute_page(replace(job, impossible=found))
            say(f"{head}: {f'impossible: {reason}' if reason else f'done in {duration(time.monotonic() - started)}'}")
    for page in fronts:
        _front(root, page, values[page.name], owned[page.name][0], known, say)
    say("building the book")
    return build(root, say=say)


def _front(root: Path, page: Page, values: Mapping[str, Any], study: Study, known: list[BookStudy], say: Say) -> None:
    """Execute a page that shows how all claims stand, after the pages and runs that it finds."""
    # Verdicts bring tables and statistics along, which a plan would wait for.
    from mechlib.report.claims import declared
    from mechlib.report.front import Book, looked_at

    model = study.model_spec.name
    target = place_of(results_folder(root, model), page, values, {})
    found = looked_at(Book(root, default_store(), study.model, known), declared())
    job = Job(page, values, target, root / "_build" / "failed" / model, page_fingerprint(page, values, [*found, model]), "", about=model)
    if is_current(target, job.fingerprint):
        say(f"page {page.name}: up to date")
        return
    check_writable(target.parent)
    started = time.monotonic()
    with _alone(root, target, lambda: say(f"page {page.name}: another command executes it; waiting")):
        execute_page(job)
    say(f"page {page.name}: done in {duration(time.monotonic() - started)}")


def _job(
    root: Path, page: Page, values: Mapping[str, Any], study: Study, own: Wanted, changes: Mapping[str, list[Any]], named: BookStudy | None
) -> Job:
    model = study.model_spec.name
    target = place_of(results_folder(root, model), page, values, changes, named.folder if named else "")
    failed = root / "_build" / "failed" / model / target.parent.name
    ids = [spec.id for _, specs in own for spec in specs]
    other = changed(page, values)
    # A page without a study of its own shows what the others found, whatever the profile.
    profile = study.profile if {*page.parameters} - {"MODEL", "PROFILE"} else ""
    about = titled_by(model, profile, named.title if named else in_words({name: [value] for name, value in other.items()}))
    usual, otherwise = (page_fingerprint(page, values, [*ids, about], impossible) for impossible in (False, True))
    return Job(page, values, target, failed, usual, otherwise, other, about=about)


def _alone(root: Path, target: Path, waiting: Callable[[], None]) -> AbstractContextManager[None]:
    """Keep other commands from executing the same page into the same place meanwhile."""
    folder = root / "_build" / "locks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PageError(f"{folder} cannot be written ({error.strerror}): make it writable; finished runs and pages are kept") from None
    return locked(folder / "-".join((*target.parts[-3:-1], f"{target.stem}.lock")), waiting)


def planned(
    root: Path, given: Mapping[str, Any], parameters: str, only: str = "", jobs: int | None = None, cluster: Asked | None = None,
    study: str = "",
) -> str:  # fmt: skip
    """What :func:`execute` would compute, about how long, and the memory and disk it would need; nothing is computed."""
    values, pages = asked(root, given, parameters, only, study)
    wanted, store = [(page, own) for page in pages for own in studies(page, values[page.name])], default_store()

    def made(of: Wanted) -> Plan:
        here = place(of, store, jobs, cluster)
        return plan(fitted(of, store, here), store, here)

    away = sorted({own.model for _, own in wanted if not on_disk(own.model_spec)})
    there = made([(own.unreached() if away else own, _needed(page, own.unreached() if away else own)) for page, own in wanted])
    note = [f"({', '.join(away)} is not on this computer, so nothing is counted as done)"] if away else []
    return "\n".join([str(there), *note, *left_out(root, pages, only, study)])


def keep(root: Path, given: Mapping[str, Any], parameters: str, only: str, say: Say, study: str = "") -> None:
    """Put rows and values of the pages' finished runs where they are committed with the book: there, they need no computing again."""
    store = default_store()
    values, pages = asked(root, given, parameters, only, study)
    runs = {spec.id: spec for page in pages for own in studies(page, values[page.name]) for spec in _needed(page, own)}
    done = [spec for spec in runs.values() if store.has(spec)]
    say(f"{sum(store.keep(spec) for spec in done)} runs kept, {len(done)} of {len(runs)} are there")


def _missing(wanted: Wanted, store: Store) -> int:
    return len({spec.id for study, specs in wanted for spec in Runner(study, store).missing(specs)})


def _needed(page: Page, own: Study) -> list[RunSpec]:
    return list({spec.id: spec for need in page.needs for _, spec in own.runs(need)}.values())


def parameter_help(pages: Sequence[Page]) -> str:
    """The parameters of all pages with their defaults."""
    lines = [f"  {name:<20} {value!r}" for name, value in {n: v for page in pages for n, v in page.parameters.items()}.items()]
    return "\n".join(lines)
