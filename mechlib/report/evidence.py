"""The kept evidence as a whole: which runs the committed pages refer to, an audit of them, and what else the store holds."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mechlib.models.convert import outdated
from mechlib.report import numerals
from mechlib.report.notebooks import PageError, page_parameters
from mechlib.report.parameters import read_pages, studies
from mechlib.report.provenance import provenance
from mechlib.report.tables import styled
from mechlib.runs.audit import compare, sample, summary
from mechlib.runs.engines import at_once, place
from mechlib.runs.manifest import manifest
from mechlib.runs.places import kept_folder
from mechlib.runs.plan import plan
from mechlib.runs.progress import Say
from mechlib.runs.spec import RunSpec, with_inputs
from mechlib.runs.store import Store, default_store
from mechlib.runs.study import Study

OUTCOMES = "audits.json"


def referred(root: Path) -> dict[str, tuple[Study, RunSpec]]:
    """Every run that an executed page in the book shows, by id. Raises :class:`PageError` for a page that does not say its parameters."""
    pages = {page.name: page for page in read_pages(root / "book")}
    found: dict[str, tuple[Study, RunSpec]] = {}
    for path in sorted((root / "book" / "results").glob("*/*/*.ipynb")):
        if path.stem not in pages:
            continue
        page = pages[path.stem]
        for study in studies(page, page_parameters(path)):
            found |= {spec.id: (study, spec) for need in page.needs for _, spec in study.runs(need)}
    return found


def audit(root: Path, number: int, seed: int, say: Say, jobs: int | None = None) -> str:
    """Compute a sample of the kept runs again, without what is stored of them; the outcome is kept with the book."""
    store = default_store()
    kept = {key: (study, spec) for key, (study, spec) in referred(root).items() if store.archive(spec)}
    if not kept:
        raise PageError("no rows are kept with the book, so there is nothing to audit: make keep keeps them")
    chosen = sample([spec for _, spec in kept.values()], number, seed)
    how = manifest(0.0)
    # What was computed by other code or in another precision is no answer here.
    aside = Store(store.root / ".audit" / f"{str(how['commit'])[:8]}-{how['precision']}")
    if how["dirty"]:
        shutil.rmtree(aside.root, ignore_errors=True)
    aside.check_writable()
    wanted = [(kept[spec.id][0], [spec]) for spec in chosen]
    made = plan(wanted, aside, place(wanted, aside, jobs))
    say(f"audit of {len(chosen)} of {len(kept)} kept runs\n{made}")
    with at_once(wanted, aside, say, made) as runs:
        runs.wait(wanted)
    if runs.impossible:
        raise PageError(f"a kept run cannot be computed here: {next(iter(runs.impossible.values()))}")
    found = [compare(spec, store.read(spec).rows, aside.read(spec).rows) for spec in chosen]
    manifests = [store.read(spec).manifest for spec in chosen]
    before = {tuple(str(how.get(name)) for name in ("commit", "machine", "precision")) for how in manifests}
    outcome = {
        "seed": seed, "audited": len(chosen), "kept": len(kept), "by": how,
        "from": [dict(zip(("commit", "machine", "precision"), one, strict=True)) for one in sorted(before)],
        "stages": summary(found), "runs": [asdict(one) for one in found],
    }  # fmt: skip
    done = Audit(outcome)
    results = root / "book" / "results"
    others = [one.outcome for one in audits(results) if one.key != done.key]
    (results / OUTCOMES).write_text(json.dumps([*others, outcome], indent=1) + "\n", encoding="utf-8")
    return f"{done.sentence}\n{done.table.to_string(index=False)}"


def kept_rows() -> pd.DataFrame:
    """The rows that are kept with the book, by stage: how many runs, and how they were computed."""
    found: list[tuple[str, str, Mapping[str, Any]]] = []
    for path in _runs(kept_folder()):
        about = json.loads(gzip.decompress(path.read_bytes()))["about"]
        found.append((path.parent.name, about["id"], about["manifest"]))
    return provenance(found)


@dataclass(frozen=True)
class Audit:
    """The outcome of an audit for readers."""

    outcome: Mapping[str, Any]

    @property
    def key(self) -> tuple[Any, ...]:
        """An audit takes the place of an earlier one of the same runs on the same kind of machine."""
        return self.outcome["seed"], self.outcome["by"]["machine"], self.outcome["by"]["precision"]

    @property
    def sentence(self) -> str:
        """What was audited, by which code on which machine."""
        by, found = self.outcome["by"], self.outcome
        before = "; ".join(f"{one['machine']}, {one['precision']}" for one in _without_commit(found["from"]))
        commits = len({one["commit"] for one in found["from"]})
        changes = " (with changes)" if by["dirty"] else ""
        return (
            f"{found['audited']} of {found['kept']} kept runs (drawn with seed {found['seed']}) were computed again on "
            f"{by['finished'][:10]} at commit {str(by['commit'])[:8]}{changes} on {by['machine']} in {by['precision']}. "
            f"They had been computed at {commits} earlier commit{'s' * (commits != 1)} on {before}."
        )

    @property
    def table(self) -> pd.DataFrame:
        """One line a stage."""
        own = pd.DataFrame(self.outcome["stages"])
        own.insert(0, "again in", self.outcome["by"]["precision"])
        return own


def audits(results: Path | None = None) -> list[Audit]:
    """The audits that are kept with the book, in its folder of results; oldest first."""
    kept = kept_folder()
    path = (results or (kept.parent if kept else Path())) / OUTCOMES
    return [Audit(outcome) for outcome in json.loads(path.read_text(encoding="utf-8"))] if path.is_file() else []


def audit_summary(done: Sequence[Audit]) -> str:
    """What was audited, in words."""
    return " ".join(one.sentence for one in done) or "No audit is kept with the book: make audit makes one."


def audit_columns(done: Sequence[Audit]) -> str:
    """What the columns of :func:`audit_table` say; "" where it has no lines."""
    if not done:
        return ""
    return ("The table gives the largest and the mean difference of the measured numbers (probabilities, and losses in nats), the column "
            "that the largest is of, and the share of answers that came out right in one computation and wrong in the other.")  # fmt: skip


def audit_table(done: Sequence[Audit]) -> Any:
    """The stages of all audits under one another, for readers; nothing without an audit."""
    formats: dict[str, Any] = {"largest difference": _difference, "mean difference": _difference, "answers changed": _share}
    return styled(pd.concat([one.table for one in done]), formats) if done else None


def _without_commit(computed: list[Mapping[str, str]]) -> list[dict[str, str]]:
    places = {(one["machine"], one["precision"]) for one in computed}
    return [{"machine": machine, "precision": precision} for machine, precision in sorted(places)]


def _difference(value: float) -> str:
    return numerals.rate(value, 2)


def _share(value: float | None) -> str:
    return "none asked" if value is None or value != value else numerals.decimal(value, 3)


def stored(root: Path) -> str:
    """Size of the store and of the kept rows by stage, and how much of it no executed page refers to."""
    store, wanted = default_store(), _with_inputs(root)
    lines = [f"{store.root}"]
    for name, folder in (("runs", store.root), ("kept with the book", store.kept)):
        records = [(path.parent.name, path.name.split(".")[0] in wanted, _size(path)) for path in _runs(folder)]
        if not records:
            continue
        table = pd.DataFrame(records, columns=["stage", "referred", "bytes"])
        table = table.assign(MB=table.bytes / 1e6, unreferred=~table.referred)
        stages: Any = table.groupby("stage").agg(runs=("MB", "size"), MB=("MB", "sum"), unreferred=("unreferred", "sum"))
        lines += [f"{name}: {len(table)} runs, {table.MB.sum():.1f} MB", stages.round(2).to_string()]
    lines += [f"{path}: {_size(path) / 1e6:.1f} MB, an earlier conversion of a model (make prune)" for path in outdated()]
    return "\n".join(lines)


def prune(root: Path, remove: bool, say: Say) -> None:
    """List the runs of this machine that no executed page refers to, what was set aside, and earlier conversions of models.

    ``remove`` them only if that is asked.
    """
    store, wanted = default_store(), _with_inputs(root)
    gone = [path for path in _runs(store.root) if path.name not in wanted]
    for path in gone:
        say(f"  {path.relative_to(store.root)}  {_size(path) / 1e6:.1f} MB")
    old = outdated()
    for path in old:
        say(f"  {path}  {_size(path) / 1e6:.1f} MB")
    total, converted = (sum(map(_size, paths)) / 1e6 for paths in (gone, old))
    if not remove:
        say(f"{len(gone)} runs, {total:.1f} MB, are referred to by no executed page: make prune YES=1 removes them")
        if old:
            say(f"{len(old)} earlier conversions of models, {converted:.1f} MB, are read by nobody: it removes them, too")
        return
    for path in (*gone, *old):
        shutil.rmtree(path)
    for path in old:
        path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
    say(f"{len(gone)} runs removed, {total:.1f} MB")
    if old:
        say(f"{len(old)} earlier conversions of models removed, {converted:.1f} MB")


def _with_inputs(root: Path) -> set[str]:
    return {spec.id for spec in with_inputs(spec for _, spec in referred(root).values())}


def _runs(folder: Path | None) -> list[Path]:
    """Folders of runs, or their files of kept rows."""
    found = folder.glob("*/*") if folder and folder.is_dir() else ()
    return sorted(path for path in found if not path.name.startswith(".") and not path.parent.name.startswith("."))


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())
