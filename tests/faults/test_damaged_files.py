"""Whatever becomes of whichever file of a run: it is set aside, named in one line, and computed again; no other run is touched."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from small_book import save_facts, save_model

from mechlib.edit.delta import FILE, Delta
from mechlib.runs.runner import Runner
from mechlib.runs.store import Store
from mechlib.runs.study import Study

FILES = ("run.json", "rows.jsonl", FILE)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A study with two edits, computed."""
    folder = tmp_path_factory.mktemp("study")
    study = Study(model=str(save_model(folder / "tiny")), facts=str(save_facts(folder / "facts.csv", each=30)), known_threshold=0.0,
                  forget_set_size=4, forget_sets=1, steps=2, localizations=("random", "random_mlps"), formats=("one_shot",))  # fmt: skip
    runner = Runner(study, Store(folder / "runs"))
    runner.compute([study.edit("random", 0, 0), study.edit("random_mlps", 0, 0)])
    return runner


@pytest.fixture
def runner(whole, tmp_path):
    """The same study on a store of its own; ``said``: its lines."""
    shutil.copytree(whole.store.root, tmp_path / "runs")
    said = []
    runner = Runner(whole.study, Store(tmp_path / "runs", tmp_path / "rows"), said.append)
    runner.context.lender, runner.said = whole.context, said
    return runner


def remove(path, _other):
    path.unlink()


def cut(path, _other):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def swap(path, other):
    shutil.copy(other, path)


def folder(path, _other):
    path.unlink()
    path.mkdir()
    (path / "inside").write_text("")


def loop(path, _other):
    path.unlink()
    path.symlink_to(path)


def dangling(path, _other):
    path.unlink()
    path.symlink_to("nowhere")


def written(content):
    return lambda path, _other: path.write_bytes(content)


DAMAGE = {
    "removed": remove, "cut": cut, "of another run": swap, "a folder": folder, "a link to itself": loop, "a link to nothing": dangling,
    "empty": written(b""), "binary": written(bytes(range(256)) * 20), "a number": written(b"3\n"), "null": written(b"null"),
    "a list": written(b"[]\n[]\n"), "a mapping": written(b"{}"), "a long line": written(b"[" * 10**5), "no end": written(b'{"id": "'),
}  # fmt: skip


def without(root, spec):
    """All files but those of one run."""
    return {path: path.read_bytes() for path in root.rglob("*") if spec.id not in str(path) and path.is_file()}


def mended(runner, whole, spec):
    """Once more the run as it was; one line names it; what was damaged lies aside; nothing else was touched."""
    runner.said.clear()
    others = without(runner.store.root, spec)
    runner.compute([spec])
    found, expected = runner.read(spec, files=True), whole.store.read(spec, files=True)
    assert (list(found.rows), found.value) == (list(expected.rows), expected.value)
    assert found.folder and Delta.load(found.folder / FILE) == Delta.load(expected.folder / FILE)
    (line,) = [line for line in runner.said if "damaged" in line]
    assert spec.id in line and "\n" not in line and line.endswith("set aside and computed again")
    assert without(runner.store.root, spec) == others
    assert [path.name for path in runner.store.root.glob(".*")] == []
    assert runner.compute([spec]) == 0


def aside(path):
    return [other.name for other in path.parent.iterdir() if ".damaged-" in other.name]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_of_a_run(runner, whole, name, damage):
    spec, other = (runner.study.edit(key, 0, 0) for key in ("random", "random_mlps"))
    place = runner.store.folder(spec)
    DAMAGE[damage](place / name, runner.store.folder(other) / name)
    mended(runner, whole, spec)
    assert aside(place) == [f"{spec.id}.damaged-1"]


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_must_not_be_read(runner, whole, name, monkeypatch):
    """Tests can run as a user who may read everything: the system's answer is played."""
    spec = runner.study.edit("random", 0, 0)
    path, opened = runner.store.folder(spec) / name, Path.open

    def refuse(self, *rest, **more):
        if self == path and not runner.said:
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *rest, **more)

    monkeypatch.setattr(Path, "open", refuse)
    mended(runner, whole, spec)
    assert aside(runner.store.folder(spec)) == [f"{spec.id}.damaged-1"]


def test_a_weight_that_is_no_number(runner, whole):
    spec = runner.study.edit("random", 0, 0)
    path = runner.store.folder(spec) / FILE
    with safe_open(path, framework="pt") as file:
        header, blocks = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    next(iter(blocks.values()))[0, 0] = torch.nan
    save_file(blocks, path, metadata=header)
    mended(runner, whole, spec)


def test_a_file_that_nobody_wrote(runner, whole):
    spec = runner.study.edit("random", 0, 0)
    (runner.store.folder(spec) / "other.safetensors").write_text("")
    mended(runner, whole, spec)


@pytest.mark.parametrize("damage", ["a file", "a link to itself", "a link to nothing", "a folder of nothing"])
def test_something_else_where_the_folder_should_be(runner, whole, damage):
    spec = runner.study.edit("random", 0, 0)
    place = runner.store.folder(spec)
    shutil.rmtree(place)
    {"a file": place.touch, "a link to itself": lambda: place.symlink_to(place), "a link to nothing": lambda: place.symlink_to("nowhere"),
     "a folder of nothing": place.mkdir}[damage]()  # fmt: skip
    mended(runner, whole, spec)
    assert aside(place) == [f"{spec.id}.damaged-1"]


@pytest.mark.parametrize("damage", [damage for damage in DAMAGE if damage != "removed"])
def test_damaged_kept_rows(runner, whole, damage):
    spec, other = (runner.study.edit(key, 0, 0) for key in ("random", "random_mlps"))
    for each in (spec, other):
        assert runner.store.keep(each)
    path = runner.store.archive(spec)
    shutil.rmtree(runner.store.folder(spec))
    DAMAGE[damage](path, runner.store.archive(other))
    runner.said.clear()
    assert list(runner.read(spec).rows) == list(whole.store.read(spec).rows)
    (line,) = [line for line in runner.said if "damaged" in line]
    assert str(path) in line and "\n" not in line
    assert aside(path) == [f"{path.name}.damaged-1"] and not os.path.lexists(path)
    assert runner.store.archive(other) and runner.store.has(spec, files=True)


def test_damaged_weights_of_an_edit_whose_rows_are_kept(runner, whole):
    """The kept rows do not stand in for the weights, neither before nor after these are set aside."""
    spec = runner.study.edit("random", 0, 0)
    runner.store.keep(spec)
    (runner.store.folder(spec) / FILE).write_bytes(b"rubbish")
    mended(runner, whole, spec)


def test_two_damages_of_one_run_are_both_kept_aside(runner, whole):
    spec = runner.study.edit("random", 0, 0)
    for number in (1, 2):
        (runner.store.folder(spec) / "rows.jsonl").write_text("")
        mended(runner, whole, spec)
        assert len(aside(runner.store.folder(spec))) == number
