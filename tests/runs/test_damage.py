"""Whatever is altered in a stored run is noticed, set aside, named in a line and computed again; other runs are not touched."""

import gzip
import json
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from small_book import save_facts, save_model, tree

from mechlib.edit.delta import FILE, Delta
from mechlib.runs.runner import Runner
from mechlib.runs.store import DamagedRun, Store
from mechlib.runs.study import Study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return Study(model=str(save_model(folder / "tiny")), facts=str(save_facts(folder / "facts.csv", each=30)), known_threshold=0.0,
                 forget_set_size=4, forget_sets=1, steps=2, localizations=("random",), formats=("one_shot",))  # fmt: skip


@pytest.fixture(scope="module")
def whole(study, tmp_path_factory):
    """A store with what all tests start from."""
    store = Store(tmp_path_factory.mktemp("whole") / "runs")
    runner = Runner(study, store)
    runner.compute([study.damage("random", 0, 0), study.answers("random", 0, 0, "one_shot")])
    return runner


@pytest.fixture
def runner(study, whole, tmp_path):
    """The same study on a store of its own, and its model; ``said``: its lines."""
    shutil.copytree(whole.store.root, tmp_path / "runs")
    said = []
    runner = Runner(study, Store(tmp_path / "runs", tmp_path / "rows"), said.append)
    runner.context.lender, runner.said = whole.context, said
    return runner


def first_number(text):
    """The text with another digit in its first decimal number."""
    place = text.index(b".") + 1
    return text[:place] + (b"7" if text[place : place + 1] != b"7" else b"3") + text[place + 1 :]


ABOUT = {
    "empty": lambda text: b"", "half": lambda text: text[: len(text) // 2], "no end": lambda text: text[:-2], "nothing": lambda text: b"{}",
    "only a value": lambda text: b'{"value": {}}', "a list": lambda text: b"[]", "null": lambda text: b"null",
    "rubbish": lambda text: b"\xff\xfe\x00" + text, "nested": lambda text: b"[" * 10**5,
}  # fmt: skip
ROWS = {
    "empty": lambda text: b"", "within a row": lambda text: text[: len(text) // 3],
    "one row fewer": lambda text: text[: text.rindex(b"\n", 0, -1) + 1],
    "rubbish": lambda text: b"\xff" + text, "numbers": lambda text: b"1\n2\n3\n", "dictionaries": lambda text: b"{}\n" * text.count(b"\n"),
    "a digit": first_number, "another order": lambda text: b"".join(reversed(text.splitlines(keepends=True))),
}  # fmt: skip


def mended(runner, spec, name, before):
    """The damaged run is computed again as it was, said in one line, and what was damaged can still be looked at."""
    others = {path: text for path, text in tree(runner.store.root).items() if spec.id not in path}
    expected = before.read(spec)
    assert list(runner.read(spec, files=True).rows) == list(expected.rows)
    assert runner.read(spec).value == expected.value
    (line,) = [line for line in runner.said if "damaged" in line]
    assert spec.id in line and "\n" not in line and "computed again" in line
    assert [path.name for path in runner.store.folder(spec).parent.glob("*.damaged-*")] == [f"{spec.id}.damaged-1"]
    now = tree(runner.store.root)
    assert {path: now.get(path) for path in others} == others
    assert runner.compute([spec]) == 0


def test_a_page_reads_a_run_once(runner, study, monkeypatch):
    spec, read = study.answers("random", 0, 0, "one_shot"), []
    monkeypatch.setattr(Store, "read", lambda store, spec, files=False, real=Store.read: read.append(spec.id) or real(store, spec, files))
    assert runner.shown(spec) is runner.shown(spec) and runner.rows("trained") == runner.rows("trained")
    assert read.count(spec.id) == 1 and runner.read(spec) is not runner.read(spec)


def spoil(store, spec, name, damage):
    path = store.folder(spec) / name
    path.write_bytes(damage(path.read_bytes()))


@pytest.mark.parametrize(("name", "damage"), [
    *(pytest.param("run.json", damage, id=f"run.json: {what}") for what, damage in ABOUT.items()),
    *(pytest.param("rows.jsonl", damage, id=f"rows: {what}") for what, damage in ROWS.items()),
])  # fmt: skip
def test_altered_rows_are_noticed_and_computed_again(runner, whole, name, damage):
    spec = runner.study.answers("random", 0, 0, "one_shot")
    spoil(runner.store, spec, name, damage)
    with pytest.raises(DamagedRun):
        runner.store.read(spec)
    mended(runner, spec, name, whole.store)


def test_rows_that_were_removed_are_computed_again(runner, whole):
    spec = runner.study.answers("random", 0, 0, "one_shot")
    (runner.store.folder(spec) / "rows.jsonl").unlink()
    mended(runner, spec, "rows.jsonl", whole.store)


def test_a_run_without_its_manifest_is_no_run(runner, whole):
    spec = runner.study.answers("random", 0, 0, "one_shot")
    (runner.store.folder(spec) / "run.json").unlink()
    assert not runner.store.has(spec)
    assert runner.compute([spec]) == 1
    assert list(runner.read(spec).rows) == list(whole.store.read(spec).rows)


def test_an_altered_localization_is_noticed(runner, whole):
    spec = runner.study.localize("random", 0, 0)
    path = runner.store.folder(spec) / "run.json"
    about = json.loads(path.read_text())
    about["value"]["provenance"]["seed"] += 1
    path.write_text(json.dumps(about, indent=1))
    mended(runner, spec, "run.json", whole.store)


def test_a_flipped_sign_in_the_weights_is_noticed_where_they_are_used(runner, whole):
    edit, asked = runner.study.edit("random", 0, 0), runner.study.answers("random", 0, 0, "one_shot")
    path = runner.store.folder(edit) / FILE
    with safe_open(path, framework="pt") as file:
        header, blocks = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file({name: -block for name, block in blocks.items()}, path, metadata=header)
    assert any(torch.any(block != 0) for block in blocks.values())
    # What needs its rows only does not look at the weights; what is computed from the weights does.
    runner.read(edit)
    assert not runner.said
    shutil.rmtree(runner.store.folder(asked))
    runner.run(asked)
    assert list(runner.read(asked).rows) == list(whole.store.read(asked).rows)
    assert [line for line in runner.said if edit.id in line and FILE in line]
    # Equal weights: the order of entries in the file's header is chance.
    assert Delta.load(path) == Delta.load(whole.store.folder(edit) / FILE)


@pytest.mark.parametrize("damage", [
    lambda about, rows: (about, rows[:-1]),
    lambda about, rows: (about, [{**rows[0], "probability": 0.123}, *rows[1:]]),
    lambda about, rows: ({**about, "value": {"made": "up"}}, rows),
    lambda about, rows: ({**about, "id": "0" * 20}, rows),
], ids=["a row fewer", "a number", "a value", "another id"])  # fmt: skip
def test_kept_rows_that_were_altered_are_set_aside_and_computed_again(runner, whole, damage):
    spec = runner.study.answers("random", 0, 0, "one_shot")
    path = archived(runner, spec)
    found = json.loads(gzip.decompress(path.read_bytes()))
    about, rows = damage(found["about"], found["rows"])
    path.write_bytes(gzip.compress(json.dumps({"about": about, "rows": rows}).encode()))
    again(runner, whole, spec, path)


@pytest.mark.parametrize("damage", [lambda text: b"", lambda text: text[: len(text) // 2], lambda text: text[:-6], lambda text: b"{}"])
def test_kept_rows_that_were_cut_short_are_set_aside_and_computed_again(runner, whole, damage):
    spec = runner.study.answers("random", 0, 0, "one_shot")
    path = archived(runner, spec)
    path.write_bytes(damage(path.read_bytes()))
    again(runner, whole, spec, path)


def archived(runner, spec):
    """The run as it is for readers of the book: its rows are kept, and nothing else of it is there."""
    assert runner.store.keep(spec)
    shutil.rmtree(runner.store.folder(spec))
    return runner.store.archive(spec)


def again(runner, whole, spec, path):
    others = {name: text for name, text in tree(runner.store.root).items() if spec.id not in name}
    assert list(runner.read(spec).rows) == list(whole.store.read(spec).rows)
    (line,) = [line for line in runner.said if "damaged" in line]
    assert str(path) in line and "\n" not in line
    assert [one.name for one in path.parent.iterdir()] == [f"{path.name}.damaged-1"]
    now = tree(runner.store.root)
    assert {name: now.get(name) for name in others} == others
