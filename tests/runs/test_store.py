"""A run is complete or absent, reads back equal, and what cannot be kept is said before any work."""

import errno
import os
import shutil
import subprocess
import tempfile
from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mechlib.runs import store as module
from mechlib.runs.manifest import host, started
from mechlib.runs.places import PlaceError, runs_folder
from mechlib.runs.spec import RunSpec, Stage
from mechlib.runs.store import DamagedRun, Store, StoreError
from mechlib.runs.work import Result

ROWS = [{"subject": "José Ramírez", "probability": 0.25, "correct": True}, {"subject": "B", "probability": 1e-9, "correct": False}]
VALUE = {"norm": 1.5, "layers": [1, 2], "nothing": None}
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=6)
records = st.dictionaries(st.text(), values, max_size=4)


@dataclass(frozen=True)
class Numbered:
    number: int


STAGE = Stage("known", 1, lambda work: Result(ROWS, VALUE), 1.0)


def run(number=0):
    return RunSpec(STAGE, f"run {number}", Numbered(number))


def keep(store, spec, rows=ROWS, value=VALUE, seconds=1.25):
    with store.writing(spec) as folder:
        store.finish(folder, spec, Result(rows, value), seconds)


def contents(root):
    """Every file below a folder with its bytes and its time; folders with None."""
    return {
        path.relative_to(root).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns) if path.is_file() else None
        for path in root.rglob("*")
    }


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


@pytest.mark.parametrize("row", [{"said": "}, {"}, {"parts": [{"a": 1}, {"b": 2}]}, {"said": "}\n{"}, {}])
@pytest.mark.parametrize("n_rows", [0, 1, 3])
def test_kept_rows_are_told_apart_whatever_signs_they_hold(store, row, n_rows):
    kept = Store(store.root, store.root.parent / "rows")
    keep(kept, run(), [row] * n_rows)
    assert kept.keep(run())
    assert list(Store(store.root / "elsewhere", kept.kept).read(run()).rows) == [row] * n_rows


def test_how_a_run_was_computed_is_told_without_its_rows(store):
    kept = Store(store.root, store.root.parent / "rows")
    keep(kept, run())
    assert kept.keep(run())
    told = kept.manifest(run())
    assert told["seconds"] == 1.25 and told == Store(store.root / "elsewhere", kept.kept).manifest(run()) == kept.read(run()).manifest
    (kept.folder(run()) / "run.json").write_text("{")
    with pytest.raises(DamagedRun, match="is damaged"):
        kept.manifest(run())


@settings(max_examples=40, deadline=None)
@given(st.lists(records, max_size=4), records)
def test_rows_and_value_are_read_back_equal(rows, value):
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "runs", Path(folder) / "rows")
        keep(store, run(), rows, value)
        assert store.keep(run())
        # With its folder, and where its kept rows are all that there is.
        for found in (store.read(run()), Store(Path(folder) / "elsewhere", store.kept).read(run())):
            assert (list(found.rows), found.value, found.seconds) == (rows, value, 1.25)


def test_what_a_stage_lays_beside_its_rows_stays_with_them(store):
    with store.writing(run()) as folder:
        (folder / "delta.safetensors").write_bytes(b"weights")
        store.finish(folder, run(), Result(ROWS, VALUE), 1.0)
    found = store.read(run())
    assert found.folder == store.folder(run())
    assert (found.folder / "delta.safetensors").read_bytes() == b"weights"


def test_a_run_is_absent_until_its_folder_is_renamed_whole(store, monkeypatch):
    seen = []

    def replace(source, target):
        seen.append((sorted(path.name for path in Path(source).iterdir()), Path(target).exists(), store.has(run())))
        rename(source, target)

    rename = os.replace
    monkeypatch.setattr(module.os, "replace", replace)
    with store.writing(run()) as folder:
        assert not store.has(run())
        store.finish(folder, run(), Result(ROWS, VALUE), 1.0)
        assert not store.has(run())
        assert not store.folder(run()).exists()
    assert seen == [(["rows.jsonl", "run.json"], False, False)]
    assert store.has(run())


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
@pytest.mark.parametrize("finished", [False, True])
def test_an_exception_leaves_nothing(store, error, finished):
    with pytest.raises(error), store.writing(run()) as folder:
        (folder / "delta.safetensors").write_bytes(b"half")
        if finished:
            store.finish(folder, run(), Result(ROWS, VALUE), 1.0)
        raise error
    assert not store.has(run())
    assert list(store.root.iterdir()) == []


def test_a_run_that_was_not_finished_leaves_nothing(store):
    with store.writing(run()) as folder:
        (folder / "rows.jsonl").write_text("{}\n")
    assert not store.has(run())
    assert list(store.root.iterdir()) == []


def test_rows_that_are_no_json_leave_nothing(store):
    with pytest.raises(TypeError):
        keep(store, run(), [{"layer": object()}])
    assert list(store.root.iterdir()) == []


@pytest.mark.parametrize("error", [ValueError("diverged"), OSError(errno.ENOSPC, "No space left on device")])
def test_a_finished_run_is_untouched_by_a_later_failing_one(store, error):
    keep(store, run(0))
    before = contents(store.root)
    with pytest.raises((ValueError, StoreError)), store.writing(run(1)):
        raise error
    assert contents(store.root) == before


def test_whoever_finishes_a_run_first_keeps_it(store):
    with store.writing(run()) as folder:
        keep(store, run(), ROWS[:1])
        store.finish(folder, run(), Result(ROWS[1:]), 1.0)
    assert list(store.read(run()).rows) == ROWS[:1]
    assert [path.name for path in store.root.iterdir()] == ["known"]


def one_line(caught, *words):
    text = str(caught.value)
    assert text.strip().count("\n") == 0
    assert [word for word in words if word not in text] == []


@pytest.mark.parametrize("below", ["", "runs", "some/where"])
def test_a_root_that_is_no_folder_is_one_line_that_names_the_way_out(tmp_path, below):
    (tmp_path / "file").write_text("not a folder")
    store = Store(tmp_path / "file" / below)
    for attempt in (store.check_writable, lambda: keep(store, run())):
        with pytest.raises(StoreError) as caught:
            attempt()
        one_line(caught, str(store.root), "MECHLIB_RUNS")


def test_a_read_only_root_is_one_line_that_names_the_way_out(store, monkeypatch):
    def refuse(**_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(module.tempfile, "NamedTemporaryFile", refuse)
    with pytest.raises(StoreError) as caught:
        store.check_writable()
    one_line(caught, str(store.root), "MECHLIB_RUNS", "Read-only")


def test_a_full_disk_is_said_before_any_work(store, monkeypatch):
    keep(store, run(0))
    before = contents(store.root)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage(10**12, 10**12 - 10**6, 10**6))
    for attempt in (store.check_writable, lambda: keep(store, run(1))):
        with pytest.raises(StoreError) as caught:
            attempt()
        one_line(caught, str(store.root), "1 MB", "MECHLIB_RUNS")
    assert contents(store.root) == before


def test_a_disk_that_fills_up_during_a_run_is_one_line(store):
    with pytest.raises(StoreError) as caught, store.writing(run()):
        raise OSError(errno.ENOSPC, "No space left on device")
    one_line(caught, "No space left on device", "untouched")
    assert list(store.root.iterdir()) == []


@pytest.fixture
def processes():
    """The numbers of a process that is gone and of one that runs."""
    dead, living = subprocess.Popen(["true"]), subprocess.Popen(["sleep", "60"])
    dead.wait()
    yield dead.pid, living.pid
    living.kill()
    living.wait()


def test_sweep_removes_what_dead_processes_of_this_machine_left_and_nothing_else(store, processes):
    keep(store, run())
    dead, living = processes
    recycled = (started(living) or 0) - 1000
    gone = {f".scratch-{host()}-{dead}-{started()}-abc", f".scratch-{host()}-{living}-{recycled}-abc"}
    left = {
        f".scratch-{host()}-{living}-{started(living)}-abc", f".scratch-{host()}-{os.getpid()}-{started()}-abc",
        f".scratch-{'0' * 12}-{dead}-{started()}-abc", "notes", ".hidden",
    }  # fmt: skip
    for name in gone | left:
        (store.root / name).mkdir()
        (store.root / name / "rows.jsonl").write_text("{}\n")
    before = contents(store.folder(run()))
    store.sweep()
    assert {path.name for path in store.root.iterdir()} == left | {"known"}
    assert contents(store.folder(run())) == before


def test_a_run_that_is_written_is_not_swept(store, monkeypatch):
    with store.writing(run()) as folder:
        store.sweep()
        assert folder.is_dir()
        # Another container sees the same folder and has another process of this number.
        monkeypatch.setattr(module, "host", lambda: "1" * 12)
        store.sweep()
        assert folder.is_dir()


def test_a_machine_is_told_by_its_name_and_its_namespace(monkeypatch):
    here = host()
    host.cache_clear()
    monkeypatch.setattr("socket.gethostname", lambda: "another machine")
    other = host()
    host.cache_clear()
    assert other != here and len(other) == 12 and "-" not in other


def test_the_root_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("MECHLIB_RUNS", str(tmp_path / "elsewhere"))
    assert runs_folder() == tmp_path / "elsewhere"
    monkeypatch.setenv("MECHLIB_RUNS", " ")
    with pytest.raises(PlaceError, match="MECHLIB_RUNS is blank"):
        runs_folder()
    monkeypatch.delenv("MECHLIB_RUNS")
    monkeypatch.chdir(tmp_path)
    assert runs_folder() == Path(module.__file__).parents[2] / "runs"


def test_a_deleted_run_is_computed_again(store):
    keep(store, run(), ROWS)
    shutil.rmtree(store.folder(run()))
    assert not store.has(run())
    keep(store, run(), ROWS[:1])
    assert list(store.read(run()).rows) == ROWS[:1]
