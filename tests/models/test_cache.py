"""A folder of the cache is as it was made, or made again with one line said; never half-made."""

import errno
import json
import os

import pytest

from mechlib.models import ModelError
from mechlib.models import cache as module
from mechlib.models.cache import cache_folder, fault, kept

FILES = {"config.json": "{}", "tokenizer.json": "[1, 2]", "model.safetensors": "weights"}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("MECHLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def calls():
    return []


@pytest.fixture
def make(calls):
    def make(scratch):
        calls.append(scratch)
        assert list(scratch.iterdir()) == []
        (scratch / "aside").write_text("not kept")
        (scratch / "made").mkdir()
        for name, text in FILES.items():
            (scratch / "made" / name).write_text(text)
        return scratch / "made"

    return make


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.name != "mechlib.json"}


def test_a_folder_is_made_once_and_nothing_else_is_left(place, make, calls):
    said = []
    first, second = kept("one", make, said.append), kept("one", make, said.append)
    assert (first, second, len(calls), said) == (place / "one", place / "one", 1, [])
    assert contents(first) == FILES
    assert {path.name for path in place.iterdir()} - {"one.lock"} == {"one"}


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


DAMAGE = {
    **{f"{name} removed": lambda folder, name=name: (folder / name).unlink() for name in [*FILES, "mechlib.json"]},
    **{f"{name} empty": lambda folder, name=name: (folder / name).write_text("") for name in [*FILES, "mechlib.json"]},
    "altered, as long as before": lambda folder: (folder / "tokenizer.json").write_text("[2, 1]"),
    "truncated": lambda folder: (folder / "model.safetensors").write_text("weig"),
    "one more, empty": lambda folder: (folder / "added_tokens.json").write_text(""),
    "a folder instead of a file": lambda folder: replace_by_folder(folder / "config.json"),
    **{f"manifest {text[:9]}": lambda folder, text=text: (folder / "mechlib.json").write_bytes(text.encode("latin-1"))
       for text in ("{}", "[]", "3", "null", '{"files": {}}', '{"files": 3}', '{"files": ["config.json"]}', "\xff\x00\xfe", "[" * 100_000)},
    "the manifest of the old kind": lambda folder: (folder / "mechlib.json").write_text('{"gguf_sha256": "1", "weights_sha256": "2"}'),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_not_as_it_was_made_is_made_again(make, calls, damage):
    folder, said = kept("one", make, lambda _: None), []
    DAMAGE[damage](folder)
    module._digest.cache_clear()  # another process would not know it
    assert fault(folder)
    assert kept("one", make, said.append) == folder
    assert (len(calls), contents(folder), fault(folder)) == (2, FILES, "")
    (line,) = said
    assert str(folder) in line
    assert "\n" not in line


def test_a_file_in_place_of_the_folder_is_replaced(place, make):
    place.mkdir()
    (place / "one").write_text("something")
    assert contents(kept("one", make, lambda _: None)) == FILES


def test_a_file_is_hashed_once_as_long_as_it_stays_the_same(make, monkeypatch):
    folder, read = kept("one", make, lambda _: None), []
    kept("one", make, lambda _: None)
    hashed = module.hashlib.file_digest
    monkeypatch.setattr(module.hashlib, "file_digest", lambda stream, kind: read.append(stream.name) or hashed(stream, kind))
    assert fault(folder) == ""
    assert read == []
    os.utime(folder / "config.json", ns=(1, 1))
    assert fault(folder) == ""
    assert read == [str(folder / "config.json")]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), ModelError("no good"), KeyboardInterrupt()])
def test_what_stops_half_way_leaves_nothing(place, make, error):
    def fail(scratch):
        make(scratch)
        raise error

    with pytest.raises(ModelError if isinstance(error, OSError) else type(error)) as caught:
        kept("one", fail, print)
    assert {path.name for path in place.iterdir()} <= {"one.lock"}
    if isinstance(error, OSError):
        assert "No space left" in str(caught.value)
        assert "MECHLIB_CACHE" in str(caught.value)
        assert "\n" not in str(caught.value)
    assert contents(kept("one", make, print)) == FILES


def test_what_a_killed_process_left_is_removed(place, make, calls):
    kept("one", make, lambda _: None)
    left = calls[0]
    assert not left.exists()
    (left / "made").mkdir(parents=True)
    (left / "made" / "model.safetensors").write_text("half")
    (place / "one" / "mechlib.json").unlink()
    assert contents(kept("one", make, lambda _: None)) == FILES
    assert not left.exists()


def test_the_manifest_names_every_file(make):
    named = json.loads((kept("one", make, print) / "mechlib.json").read_text())["files"]
    assert set(named) == set(FILES)
    # Of the word "weights", by coreutils' sha256sum.
    assert named["model.safetensors"] == "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"


@pytest.mark.parametrize("value", ["", " ", "\t"])
def test_a_blank_place_is_refused(monkeypatch, value):
    monkeypatch.setenv("MECHLIB_CACHE", value)
    with pytest.raises(ModelError, match="MECHLIB_CACHE is blank"):
        cache_folder()


@pytest.mark.parametrize("value", ["file", "file/below", "~nobody-of-this-name/x", "n" * 5000])
def test_a_place_that_is_no_folder_is_one_line(monkeypatch, tmp_path, make, value):
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("MECHLIB_CACHE", value if value.startswith("~") else str(tmp_path / value))
    with pytest.raises(ModelError, match="MECHLIB_CACHE") as caught:
        kept("one", make, print)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_relative_place_counts_from_the_working_directory(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MECHLIB_CACHE", "here/it is")
    assert cache_folder() == tmp_path / "here" / "it is"


def test_without_the_variable_it_is_the_users_own(monkeypatch):
    monkeypatch.delenv("MECHLIB_CACHE")
    assert cache_folder().name == "mechlib"


def refuse(*_arguments, **_options):
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def read_only(monkeypatch):
    """Every call by which a folder is changed is answered as on a disk that was mounted to be read."""
    for where, name in ((module.FileLock, "acquire"), (module.Path, "mkdir"), (module.Path, "unlink"), (module.Path, "replace"),
                        (module.Path, "write_text"), (module.shutil, "rmtree")):  # fmt: skip
        monkeypatch.setattr(where, name, refuse)


def test_a_whole_folder_that_must_not_be_written_is_used(make, monkeypatch):
    folder = kept("one", make, print)
    module._digest.cache_clear()
    read_only(monkeypatch)
    assert kept("one", lambda _: pytest.fail("it is made again"), pytest.fail) == folder


@pytest.mark.parametrize("damage", ["missing", *DAMAGE])
def test_a_missing_or_damaged_folder_that_must_not_be_written_is_one_line(place, make, monkeypatch, damage):
    if damage != "missing":
        DAMAGE[damage](kept("one", make, print))
        module._digest.cache_clear()
    read_only(monkeypatch)
    with pytest.raises(ModelError) as caught:
        kept("one", lambda _: pytest.fail("it is made again"), print)
    assert str(caught.value) == (
        f"{place} cannot be written (Read-only file system): make room or make it writable, or set MECHLIB_CACHE to a folder that can"
    )
