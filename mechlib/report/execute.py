"""``make execute``: plan, compute what is missing, execute the pages that changed, render."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mechlib.report.book import build, results_folder
from mechlib.report.notebooks import check_writable, execute_page, is_current, page_fingerprint
from mechlib.report.parameters import Page, parse, read_pages, resolve, study
from mechlib.runs.progress import Say, duration
from mechlib.runs.runner import Runner
from mechlib.runs.spec import RunSpec
from mechlib.runs.store import Store, default_root
from mechlib.runs.study import Study


def execute(root: Path, given: Mapping[str, Any], parameters: str, say: Say) -> Path:
    """Run every page for a model and a profile and render the book; returns its index page.

    Everything is checked before any work. Each page's missing runs are computed first, in this
    process, so that the model is loaded once and progress can be told; then the page itself, which
    only reads them.
    """
    pages = read_pages(root / "book")
    values = resolve(pages, {**parse(parameters, pages), **given})
    studies = {page.name: study(values[page.name]) for page in pages}
    needed = {page.name: _needed(page, studies[page.name]) for page in pages}
    store = Store(default_root())
    store.check_writable()
    targets = {page.name: results_folder(root, studies[page.name].model_spec.name, studies[page.name].profile) for page in pages}
    for folder in set(targets.values()):
        check_writable(folder)
    runners: dict[Study, Runner] = {}
    for number, page in enumerate(pages, start=1):
        own = studies[page.name]
        # Pages of the same study share one runner, and with it the loaded model.
        runner = runners.setdefault(own, _like(runners, own, store, say))
        missing = runner.missing(needed[page.name])
        target = targets[page.name] / f"{page.name}.ipynb"
        fingerprint = page_fingerprint(page, values[page.name], [spec.id for spec in needed[page.name]])
        if not missing and is_current(target, fingerprint):
            say(f"page {number}/{len(pages)}  {page.name}: up to date")
            continue
        say(f"page {number}/{len(pages)}  {page.name}: {len(missing)} of {len(needed[page.name])} runs to compute")
        started = time.monotonic()
        runner.compute(needed[page.name])
        execute_page(page, values[page.name], target, fingerprint, root / "_build" / "failed" / own.model_spec.name / own.profile)
        say(f"page {number}/{len(pages)}  {page.name}: done in {duration(time.monotonic() - started)}")
    say("building the book")
    return build(root)


def _needed(page: Page, own: Study) -> list[RunSpec]:
    return list({spec.id: spec for need in page.needs for _, spec in own.runs(need)}.values())


def _like(runners: Mapping[Study, Runner], own: Study, store: Store, say: Say) -> Runner:
    """A runner for a study that shares the loaded model of another study of the same model."""
    runner = Runner(own, store, say)
    runner.context.lender = next((known.context for other, known in runners.items() if other.model == own.model), None)
    return runner


def parameter_help(pages: Sequence[Page]) -> str:
    """The parameters of all pages with their defaults."""
    lines = [f"  {name:<20} {value!r}" for name, value in {n: v for page in pages for n, v in page.parameters.items()}.items()]
    return "\n".join(lines)
