"""What cannot be used is one line on stderr and the code 2, whatever way it comes in, and changes nothing on the disk."""

import json
import os
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest
from small_book import ROOT, copy_book

from mechlib import __main__ as cli
from mechlib.report import execute
from mechlib.report.parameters import read_pages
from mechlib.runs.cost import CORE

BAD = tomllib.loads(Path(__file__).with_name("bad.toml").read_text(encoding="utf-8"))
DEEP = "[" * 100_000 + "]" * 100_000


def odd_files(folder):
    """What a path can lead to beside a good file."""
    folder.mkdir()
    for name in ("folder", "folder.gguf"):
        (folder / name).mkdir()
    for name in ("fifo", "fifo.gguf"):
        os.mkfifo(folder / name)
    configs = {"broken": '{"model_type": "ge', "list": "[]", "mamba": '{"model_type": "mamba"}', "mixture": '{"model_type": "mixtral"}'}
    for name, config in configs.items():
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(config)
    (folder / "adapter").mkdir()
    (folder / "adapter" / "adapter_config.json").write_text("{}")
    (folder / "circle").symlink_to(folder / "circle")
    (folder / "empty").write_text("")
    (folder / "binary").write_bytes(bytes(range(128, 256)))
    (folder / "deep.json").write_text(f'{{"components": {DEEP}}}')
    (folder / "digits.json").write_text(f'{{"components": [{"9" * 6000}]}}')
    (folder / "layer.json").write_text(json.dumps({"components": [f"L{'9' * 6000}.mlp"]}))


def state(folder):
    """Everything below a folder: its kind, size and time of change."""
    found = {}
    for path in sorted(folder.rglob("*")):
        about = path.lstat()
        found[path.relative_to(folder).as_posix()] = (about.st_mode, about.st_size, about.st_mtime_ns)
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A copy of the book, a store with a damaged edit, an empty cache, and odd files."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "root").mkdir()
    copy_book(folder / "root")
    edit = folder / "runs" / "edit" / "damaged"
    edit.mkdir(parents=True)
    (edit / "delta.safetensors").write_bytes(b"no weights")
    (folder / "cache").mkdir()
    odd_files(folder / "odd")
    return folder


@pytest.fixture
def call(place, monkeypatch, capfd):
    """Runs a command; gives its one line, and looks that it had the code 2 and left everything as it was."""
    monkeypatch.setattr(cli, "ROOT", place / "root")
    monkeypatch.setattr(execute, "read_pages", cache(read_pages))
    monkeypatch.setenv("MECHLIB_RUNS", str(place / "runs"))
    monkeypatch.setenv("MECHLIB_CACHE", str(place / "cache"))
    # What is measured of the machine is kept, whatever is asked.
    monkeypatch.setattr("mechlib.runs.engines.calibrated", lambda _device: CORE)

    def call(*words):
        before = state(place)
        capfd.readouterr()
        try:
            code = cli.main(list(words))
        except SystemExit as ended:
            code = ended.code
        said = capfd.readouterr()
        assert (code, said.out) == (2, "")
        assert re.fullmatch(r"mechlib: [^\n]+\n", said.err), said.err
        assert len(said.err) < 2500
        assert state(place) == before
        return said.err

    return call


def filled(text, place):
    """What stands for long or odd text put in its place."""
    text = re.sub(r"<digits (\d+)>", lambda found: "9" * int(found[1]), text)
    for name, value in {"<tmp>": str(place / "odd"), "<nul>": "\0", "<surrogate>": "\udc80", "<deep>": DEEP}.items():
        text = text.replace(name, value)
    return text


def rows(way):
    return [pytest.param(given, line, id=name) for name, (given, line) in BAD[way].items()]


def test_every_way_in_has_inputs():
    assert set(BAD) == {"params", "arguments", "environment", "cell"}
    assert sum(map(len, BAD.values())) >= 80


@pytest.mark.parametrize(("given", "line"), rows("params"))
def test_a_parameter(call, place, given, line):
    task = "counterfact-editing" if given.startswith("WORLD") else "sports-athlete-editing"
    given = filled(given, place)
    words = given if given.startswith("TASK") else f"TASK={task} {given}"
    assert re.search(line, call("plan", "--params", words))


@pytest.mark.parametrize(("given", "line"), rows("arguments"))
def test_words_of_the_command_line(call, place, given, line):
    assert re.search(line, call(*(filled(word, place) for word in given.split("|") if given)))


@pytest.mark.parametrize(("given", "line"), rows("environment"))
def test_a_variable_of_the_environment(call, place, monkeypatch, given, line):
    name, _, value = given.partition("=")
    monkeypatch.setenv(name, filled(value, place))
    assert re.search(line, call("plan", "--pages", "05"))


@pytest.mark.parametrize(("given", "line"), rows("cell"))
def test_a_parameter_cell(call, place, monkeypatch, given, line):
    monkeypatch.setattr(execute, "read_pages", read_pages)
    page = place / "root" / "book" / "05_editing.py"
    source, pages = page.read_text(), [path for path in page.parent.glob("[0-9][0-9]_*.py") if path != page]
    texts = {path: path.read_text() for path in pages}
    changed, count = re.subn(r"^STEPS = None.*$", lambda _: filled(given, place), source, flags=re.MULTILINE)
    assert count == 1
    try:
        for path in pages:
            path.unlink()
        page.write_text(changed)
        assert re.search(line, call("plan"))
    finally:
        for path, text in {page: source, **texts}.items():
            path.write_text(text)


@pytest.mark.parametrize(("words", "line"), [
    (["plan", "LOCALISATIONS=x"], r"mechlib: unknown parameter 'LOCALISATIONS' \(did you mean LOCALIZATIONS\?\)"),
    (["plan", 'MODEL=a"; exit 0; "'], "mechlib: unknown MODEL 'a\"; exit 0; \"'"),
    (["prune", "YES=no"], r"\*\*\* YES=no: give 1"),
    (["store", "STEPS=3"], r"\*\*\* make store has no option STEPS"),
    (["export", "RUN=1", "TOO=x"], r"\*\*\* make export has no option TOO: it has MODEL RUN TO"),
])  # fmt: skip
def test_words_of_make(place, words, line):
    # What is installed is not made again: "setup" is taken to be done.
    # "make test" runs this inside make, which hands its own level and options down.
    mine = {name: value for name, value in os.environ.items() if name not in ("MAKELEVEL", "MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES")}
    about = {**mine, "MECHLIB_RUNS": str(place / "runs"), "MECHLIB_CACHE": str(place / "cache"), "PYTHONPATH": str(ROOT)}
    before = state(place)
    done = subprocess.run(["make", "-o", "setup", *words], cwd=ROOT, capture_output=True, text=True, env=about, check=False)
    said = [one for one in done.stderr.splitlines() if not re.match(r"make: \*\*\* \[.*Error 2", one)]
    assert (done.returncode, done.stdout, len(said)) == (2, "", 1), done
    assert re.search(line, said[0])
    assert state(place) == before
