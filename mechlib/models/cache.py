"""Folders in the cache. Each is made once; every use checks all its files, and a damaged folder is made again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import platformdirs
from filelock import FileLock

from mechlib.errors import shown
from mechlib.folders import named_folder
from mechlib.models.table import ModelError

_MANIFEST = "mechlib.json"


def cache_folder() -> Path:
    """``MECHLIB_CACHE`` (relative to the working directory), or the user's cache directory.

    Raises :class:`ModelError` if the variable is blank or names something that is no folder.
    """
    named = os.environ.get("MECHLIB_CACHE")
    if named is None:
        return platformdirs.user_cache_path("mechlib")
    if not named.strip():
        raise ModelError("MECHLIB_CACHE is blank: name a folder, or unset it")
    if folder := named_folder(named):
        return folder
    raise ModelError(f"MECHLIB_CACHE={shown(named)} is no folder: name one that is, or that can be made")


def sha256(path: Path) -> str:
    """Hex digest of a file, taken once a process as long as its size and time stay the same."""
    found = path.stat()
    return _digest(str(path.absolute()), found.st_size, found.st_mtime_ns)


@cache
def _digest(path: str, _size: int, _modified: int) -> str:
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def kept(name: str, make: Callable[[Path], Path], say: Callable[[str], None]) -> Path:
    """The cached folder ``name``, made if it is missing or damaged.

    ``make`` is given an empty folder to work in and returns the finished folder inside it, which
    is moved into place last: it is complete or absent. If several processes want the same folder, one of
    them makes it. Raises :class:`ModelError` if the cache cannot be written.
    """
    folder = cache_folder() / name
    if fault(folder):
        with _locked(folder):
            found = fault(folder)
            if found and os.path.lexists(folder):
                say(f"{folder} is damaged ({found}): it is made again")
            if found:
                _make(folder, make)
    return folder


def fault(folder: Path) -> str:
    """What is wrong with a folder that :func:`kept` made; empty if it is whole. Every file is read."""
    try:
        files = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))["files"]
        odd = sorted({path.name for path in folder.iterdir()} ^ {*files, _MANIFEST})
        if odd or not files:
            return f"{(odd or [_MANIFEST])[0]} is missing or does not belong there"
        return next((f"{name} is altered" for name in files if not (folder / name).is_file() or sha256(folder / name) != files[name]), "")
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return f"{_MANIFEST} or another file cannot be read"


@contextmanager
def _locked(folder: Path) -> Generator[None]:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_name(f"{folder.name}.lock"))
        lock.acquire()
    except OSError as error:
        raise _unwritable(folder.parent, error) from None
    try:
        yield
    finally:
        lock.release()


def _make(folder: Path, make: Callable[[Path], Path]) -> None:
    # One name, used under the lock only: what a killed process left is found and removed.
    scratch = folder.with_name(f".making-{folder.name}")
    try:
        _remove(scratch)
        scratch.mkdir()
        made = make(scratch)
        manifest = {"files": {path.name: sha256(path) for path in sorted(made.iterdir())}}
        (made / _MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        _remove(folder)
        made.replace(folder)
    except OSError as error:
        raise _unwritable(folder.parent, error) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _unwritable(folder: Path, error: OSError) -> ModelError:
    helps = "make room or make it writable, or set MECHLIB_CACHE to a folder that can"
    return ModelError(f"{folder} cannot be written ({error.strerror or error}): {helps}")
