"""The evidence as a whole: what executed pages refer to, what is audited, and what may be removed."""

import json
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from planning import finish, offline
from small_book import HEADER, ROOT, tree

from mechlib.models.convert import converted_folder
from mechlib.report import evidence
from mechlib.report.evidence import audit, audit_columns, audits, prune, referred, stored
from mechlib.report.notebooks import PageError
from mechlib.report.parameters import read_page
from mechlib.runs.store import Store
from mechlib.runs.study import Study
from mechlib.runs.work import Result

PARAMETERS = {"PROFILE": "quick", "LOCALIZATIONS": ["random"], "FORGET_SETS": 1, "STEPS": 3}
ROWS = [{"subject": "A", "probability": 0.25, "correct": True}, {"subject": "B", "probability": 0.5, "correct": False}]


@pytest.fixture
def study():
    return Study(localizations=("random",), forget_sets=1, steps=3)


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Where runs and kept rows are."""
    offline(tmp_path, monkeypatch)
    monkeypatch.setenv("MECHLIB_CACHE", str(tmp_path / "cache"))
    store = Store(tmp_path / "runs", tmp_path / "rows")
    monkeypatch.setattr(evidence, "default_store", lambda: store)
    return store


@pytest.fixture
def root(tmp_path):
    """A book with one of the real pages, executed with a few parameters."""
    folder = tmp_path / "root" / "book"
    (folder / "results" / "gemma-3-270m" / "quick").mkdir(parents=True)
    (folder / "05_editing.py").write_text((ROOT / "book" / "05_editing.py").read_text())
    executed(tmp_path / "root", PARAMETERS)
    return tmp_path / "root"


def executed(root, parameters, page="05_editing"):
    about = {"metadata": {"mechlib": {"parameters": parameters}}}
    (root / "book" / "results" / "gemma-3-270m" / "quick" / f"{page}.ipynb").write_text(json.dumps(about))


def wanted(root, study):
    page = read_page(root / "book" / "05_editing.py")
    return {spec.id: spec for need in page.needs for _, spec in study.runs(need)}


def with_inputs(specs):
    found = {}
    for spec in specs:
        found |= {spec.id: spec, **with_inputs(spec.inputs.values())}
    return found


def test_the_runs_of_the_executed_pages_are_referred_to(root, store, study):
    found = referred(root)
    assert set(found) == set(wanted(root, study)) != set()
    assert {own for own, _ in found.values()} == {study}
    executed(root, {**PARAMETERS, "STEPS": 4})
    assert set(referred(root)) != set(found)


def test_a_page_that_was_not_executed_or_is_no_longer_there_refers_to_nothing(root, store):
    executed(root, {}, "99_gone")
    (root / "book" / "06_page.py").write_text(HEADER)
    before = set(referred(root))
    (root / "book" / "results" / "gemma-3-270m" / "quick" / "05_editing.ipynb").unlink()
    assert before and not referred(root)


def test_a_page_that_does_not_say_its_parameters_is_one_line(root, store):
    (root / "book" / "results" / "gemma-3-270m" / "quick" / "05_editing.ipynb").write_text('{"metadata": {}}')
    for ask in (referred, stored, lambda root: prune(root, True, print)):
        with pytest.raises(PageError, match="execute it again") as caught:
            ask(root)
        assert "\n" not in str(caught.value)


@pytest.fixture
def filled(root, store, study):
    """A store with all that the page needs, and two runs that no page refers to."""
    needed = with_inputs(wanted(root, study).values())
    others = [Study(seed=1).known, Study(seed=1).text("train"), study.damage("random", 0, 1)]
    for spec in {**needed, **{spec.id: spec for spec in others}}.values():
        finish(store, spec)
    return {spec.id for spec in others} - set(needed)


def test_prune_lists_first_and_removes_only_what_no_page_refers_to(root, store, filled):
    before, said = tree(store.root), []
    prune(root, False, said.append)
    assert tree(store.root) == before
    assert len(filled) == 2 and {line.split()[0].split("/")[1] for line in said[:-1]} == filled
    assert "2 runs" in said[-1] and "YES=1" in said[-1]
    prune(root, True, said.append)
    left = {name: text for name, text in before.items() if name.split("/")[1] not in filled}
    assert tree(store.root) == left and len(left) < len(before)
    prune(root, True, said.append)
    assert tree(store.root) == left and said[-1].startswith("0 runs removed")


def test_prune_removes_what_was_set_aside_and_leaves_kept_rows_and_other_files(root, store, filled, study):
    spec = study.known
    store.keep(spec)
    store.set_aside(spec)
    (store.root / ".scratch-of-another-machine").mkdir()
    (store.root / "notes.txt").write_text("mine")
    kept = tree(store.kept)
    prune(root, True, lambda _line: None)
    assert tree(store.kept) == kept
    assert not store.folder(spec).with_name(f"{spec.id}.damaged-1").exists()
    assert {".scratch-of-another-machine", "notes.txt"} <= {path.name for path in store.root.iterdir()}


def test_earlier_conversions_of_models_are_listed_and_removed_and_nothing_else_of_the_cache(root, store, filled, tmp_path):
    digest, cache = "0123456789abcdef", tmp_path / "cache"
    current, old = converted_folder(digest), [cache / digest, cache / f"{digest}-1-transformers-4.9.0-gguf-0.1.0-torch-2.0.0"]
    others = [cache / "my models", cache / f"{digest}-notes", cache / f"{digest[:-1]}g", cache / "fedcba9876543210"]
    for folder in (current, *old, *others):
        folder.mkdir(parents=True)
        (folder / "weights").write_bytes(bytes(2_000_000))
        folder.with_name(f"{folder.name}.lock").touch()
        if folder != others[-1]:  # one that no converter finished
            (folder / "mechlib.json").write_text("{}")
    said = []
    prune(root, False, said.append)
    assert all(sum(str(folder) == line.split("  ")[1] for line in said if line.startswith("  /")) == 1 for folder in old)
    assert all(f"{folder}: 2.0 MB" in stored(root) for folder in old)
    assert "2 earlier conversions of models, 4.0 MB" in said[-1]
    assert {path for path in cache.iterdir() if path.is_dir()} == {current, *old, *others}
    prune(root, True, said.append)
    assert {path for path in cache.iterdir() if path.is_dir()} == {current, *others}
    assert not any(folder.with_name(f"{folder.name}.lock").exists() for folder in old)


def test_stored_counts_runs_by_stage_and_those_that_no_page_refers_to(root, store, filled, study):
    store.keep(study.known)
    text = stored(root)
    assert str(store.root) in text
    total = len(list(store.root.glob("*/*")))
    assert f"runs: {total} runs" in text and "kept with the book: 1 runs" in text
    (line,) = [line for line in text.splitlines() if line.startswith("damage")]
    assert line.split()[-1] == "1"


def audited(monkeypatch, change):
    """Lets an audit compute what ``change`` makes of the kept rows."""

    @contextmanager
    def at_once(_wanted, aside, *_rest):
        def wait(wanted):
            for spec in (spec for _, specs in wanted for spec in specs):
                record(aside, spec, change(ROWS))

        yield SimpleNamespace(wait=wait, impossible={})

    monkeypatch.setattr(evidence, "at_once", at_once)


def record(store, spec, rows):
    with store.writing(spec) as folder:
        store.finish(folder, spec, Result(rows), 1.0)


@pytest.mark.parametrize(("change", "largest", "answers", "shape"), [
    (lambda rows: rows, 0.0, 0.0, 0),
    (lambda rows: [rows[0], {**rows[1], "probability": 0.6}], 0.1, 0.0, 0),
    (lambda rows: [rows[0], {**rows[1], "correct": True}], 0.0, 0.5, 0),
    (lambda rows: rows[:1], 0.0, 0.0, 1),
], ids=["nothing", "a digit", "an answer", "a row"])  # fmt: skip
def test_an_audit_says_what_differs_and_is_kept_with_the_book(root, store, study, monkeypatch, change, largest, answers, shape):
    edits = [spec for spec in wanted(root, study).values() if spec.stage.name == "edit"]
    for spec in edits:
        record(store, spec, ROWS)
        store.keep(spec)
    audited(monkeypatch, change)
    kept = tree(store.kept)
    shown = audit(root, 5, 0, lambda _line: None)
    (outcome,) = (done.outcome for done in audits(root / "book" / "results"))
    assert "share of answers" in audit_columns(audits(root / "book" / "results"))
    (line,) = outcome["stages"]
    assert (line["stage"], line["runs"], line["other number of rows"]) == ("edit", len(edits), shape * len(edits))
    assert (line["largest difference"], line["answers changed"]) == (pytest.approx(largest), answers)
    assert (outcome["audited"], outcome["kept"], outcome["seed"]) == (len(edits), len(edits), 0)
    assert "edit" in shown and tree(store.kept) == kept


def test_without_kept_rows_there_is_nothing_to_audit(root, store):
    assert not audits(root / "book" / "results") and audit_columns([]) == ""
    with pytest.raises(PageError, match="make keep"):
        audit(root, 5, 0, lambda _line: None)
