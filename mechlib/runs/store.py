"""The store: one folder a run, complete or absent; and rows that are kept with the book."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from mechlib.errors import MechlibError
from mechlib.runs.locks import free, locked
from mechlib.runs.manifest import host, manifest, started
from mechlib.runs.places import kept_folder, runs_folder
from mechlib.runs.spec import RunSpec
from mechlib.runs.work import Result

_ROOM = 512 * 1024**2
_ROWS, _ABOUT = "rows.jsonl", "run.json"
# All that reading a damaged file can raise.
_UNREADABLE = (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, RecursionError, zlib.error)


class StoreError(MechlibError, RuntimeError):
    """The store cannot be read or written; the message says what to do."""


class DamagedRun(StoreError):  # noqa: N818
    """A run whose files were altered, truncated or removed: it is to be set aside and computed again."""


def default_store() -> Store:
    """The runs of this machine, and those whose rows are kept with the book."""
    return Store(runs_folder(), kept_folder())


@dataclass(frozen=True)
class Store:
    """Runs by id under ``root``. Written aside and renamed last, so a killed run leaves nothing behind it.

    ``kept`` holds rows and values of runs that are worth keeping with the book, without the files
    beside them (weights): see :meth:`keep`.
    """

    root: Path
    kept: Path | None = None

    def folder(self, spec: RunSpec) -> Path:
        """Where a run is or would be."""
        return self.root / spec.stage.name / spec.id

    def archive(self, spec: RunSpec) -> Path | None:
        """The file that keeps a run's rows, if there is one."""
        path = self.kept / spec.stage.name / f"{spec.id}.json.gz" if self.kept else None
        return path if path and os.path.lexists(path) else None

    def has(self, spec: RunSpec, files: bool = False) -> bool:
        """Whether the run is there; with ``files`` also what lies beside its rows. Whether it is whole, :meth:`read` says."""
        return os.path.isfile(self.folder(spec) / _ABOUT) or (not files and self.archive(spec) is not None)  # noqa: PTH113

    def read(self, spec: RunSpec, files: bool = False) -> Result:
        """A run, checked against its digest; with ``files`` also what lies beside its rows. Raises :class:`DamagedRun`."""
        where = self._where(spec)
        try:
            if where == self.archive(spec):
                (about, rows, lines), folder = read_archive(where), None
            else:
                about = json.loads((where / _ABOUT).read_text(encoding="utf-8"))
                lines, folder = (where / _ROWS).read_text(encoding="utf-8"), where
                rows = json.loads(f"[{','.join(lines.splitlines())}]")
            # Of the text as it lies there: to write all rows anew would take as long as to read them.
            if about["id"] != spec.id or about["digest"] != _digest(lines, about["value"]):
                raise ValueError("its rows are not those that were written")
            if files and folder:
                _check_files(folder, about["files"])
            return Result(rows, about["value"], folder, {**about["manifest"]}, spec.id)
        except _UNREADABLE as error:
            raise _damaged(where, error) from None

    def manifest(self, spec: RunSpec) -> dict[str, Any]:
        """How a run that is there was computed, without its rows. Raises :class:`DamagedRun`."""
        where = self._where(spec)
        try:
            about = _about(where)[0] if where == self.archive(spec) else json.loads((where / _ABOUT).read_text(encoding="utf-8"))
            return {**about["manifest"]}
        except _UNREADABLE as error:
            raise _damaged(where, error) from None

    def _where(self, spec: RunSpec) -> Path:
        """What is read of a run: its folder, or its kept rows where there is no whole folder."""
        archive = self.archive(spec)
        return archive if archive and not self.has(spec, files=True) else self.folder(spec)

    def leftover(self, spec: RunSpec) -> Path | None:
        """Whatever stands in the place of a run that is not there, such as a folder without its manifest."""
        folder = self.folder(spec)
        return folder if os.path.lexists(folder) and not self.has(spec, files=True) else None

    def set_aside(self, spec: RunSpec) -> None:
        """Rename what would be read of a damaged run, so that it is computed again and can still be looked at."""
        _rename(self._where(spec))

    def keep(self, spec: RunSpec) -> bool:
        """Put rows and value of a complete run into ``kept``, where they can be committed; false if they are there already."""
        if self.kept is None or self.archive(spec):
            return False
        rows = self.read(spec).rows
        about = json.loads((self.folder(spec) / _ABOUT).read_text(encoding="utf-8"))
        try:
            write_archive(self.kept / spec.stage.name / f"{spec.id}.json.gz", {**about, "files": {}}, rows)
        except OSError as error:
            raise StoreError(f"{self.kept} cannot be written ({error.strerror}): make room, or make it writable") from None
        return True

    def free(self, spec: RunSpec) -> bool:
        """Whether nobody computes this run just now."""
        return not os.path.lexists(self._lock(spec)) or free(self._lock(spec))

    @contextmanager
    def locked(self, spec: RunSpec, waiting: Callable[[], None] = lambda: None) -> Generator[None]:
        """Keep others from computing this run meanwhile; ``waiting`` is called if one of them does, and is waited for."""
        self.check_writable()
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self._lock(spec), waiting))
            except OSError as error:
                raise StoreError(f"{self._lock(spec)} cannot be locked ({error.strerror}): set MECHLIB_RUNS to another folder") from None
            yield
            if self.has(spec, files=True):
                # Whoever waits for this very file finds the run complete, too: nobody needs the lock any more.
                with suppress(OSError):
                    self._lock(spec).unlink(missing_ok=True)

    def _lock(self, spec: RunSpec) -> Path:
        return self.root / f".lock-{spec.id}"

    def check_writable(self) -> None:
        """Raise :class:`StoreError` before any work if results could not be kept."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.root):
                free = shutil.disk_usage(self.root).free
        except OSError as error:
            raise StoreError(f"{self.root} cannot be written ({error.strerror}): set MECHLIB_RUNS to a folder that can") from None
        if free < _ROOM:
            raise StoreError(f"{self.root} has {free / 1e6:.0f} MB free and a run needs {_ROOM / 1e6:.0f}: free some or set MECHLIB_RUNS")

    def room(self) -> int:
        """Free bytes where runs are, or would be once the folder is there."""
        there = next(folder for folder in (self.root, *self.root.absolute().parents) if folder.is_dir())
        return shutil.disk_usage(there).free

    @contextmanager
    def writing(self, spec: RunSpec) -> Generator[Path]:
        """A scratch folder that becomes the run's folder when :meth:`finish` was called in it."""
        self.check_writable()
        scratch = Path(tempfile.mkdtemp(dir=self.root, prefix=f".scratch-{host()}-{os.getpid()}-{started()}-"))
        try:
            yield scratch
            if (scratch / _ABOUT).is_file():
                target = self.folder(spec)
                target.parent.mkdir(exist_ok=True)
                if left := self.leftover(spec):
                    _rename(left)
                if not os.path.lexists(target):
                    scratch.replace(target)
        except OSError as error:
            place = error.filename or self.root
            raise StoreError(f"{place}: {error.strerror or error}; finished runs are untouched, the same command goes on") from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def finish(self, scratch: Path, spec: RunSpec, result: Result, seconds: float) -> None:
        """Write rows, value and manifest into the scratch folder, the manifest last, all of it to the disk."""
        rows = [dict(row) for row in result.rows]
        (scratch / _ROWS).write_text(_lines(rows), encoding="utf-8")
        files = {path.name: _sha256(path) for path in sorted(scratch.iterdir()) if path.name != _ROWS}
        about = about_run(spec, rows, result.value, manifest(seconds), files)
        (scratch / _ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")
        for path in (*sorted(scratch.iterdir()), scratch):
            _flush(path)

    def sweep(self) -> None:
        """Remove scratch folders of this machine's processes that are gone. Those of other machines and containers are theirs."""
        for scratch in self.root.glob(f".scratch-{host()}-*-*-*"):
            pid, start = scratch.name.split("-")[-3:-1]
            running = started(int(pid)) if pid.isdecimal() and start.isdecimal() else None
            # The clock that start times count from may be set by a second.
            if running is None or abs(running - int(start)) > 2:
                shutil.rmtree(scratch, ignore_errors=True)


def about_run(
    spec: RunSpec, rows: list[dict[str, Any]], value: Mapping[str, Any], how: Mapping[str, Any], files: Mapping[str, str]
) -> dict[str, Any]:
    """What is written beside the rows: what was asked, the value, how it was computed, and digests to check them by."""
    return {"id": spec.id, "label": spec.label, "asked": spec.to_json(), "rows": len(rows), "value": dict(value), "manifest": dict(how),
            "digest": rows_digest(rows, value), "files": dict(files)}  # fmt: skip


def _check_files(folder: Path, files: Mapping[str, str]) -> None:
    """Raise ``ValueError`` if what lies beside the rows is not what was written."""
    there = {path.name for path in folder.iterdir() if not path.name.startswith(".")} - {_ROWS, _ABOUT}
    for name in sorted(there ^ files.keys()):
        raise ValueError(f"{name} is missing or does not belong there")
    for name, expected in files.items():
        if _sha256(folder / name) != expected:
            raise ValueError(f"{name} is not what was written")


def _damaged(where: Path, error: BaseException) -> DamagedRun:
    return DamagedRun(f"{where} is damaged ({str(error) or type(error).__name__})")


def _rename(damaged: Path) -> None:
    names = (damaged.with_name(f"{damaged.name}.damaged-{number}") for number in count(1))
    try:
        damaged.rename(next(name for name in names if not os.path.lexists(name)))
    except OSError as error:
        raise StoreError(f"{damaged} is damaged and cannot be set aside ({error.strerror}): remove it") from None


def write_archive(path: Path, about: Mapping[str, Any], rows: Any) -> None:
    """Write rows to be kept. No time of writing is in the file: the same run gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".partial")
    aside.write_bytes(gzip.compress(json.dumps({"about": dict(about), "rows": list(rows)}).encode(), mtime=0))
    aside.replace(path)


def read_archive(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]], str]:
    """What is told of a run that is kept, its rows, and these as the lines that its digest is of. Raises what a damaged file raises."""
    about, written = _about(path)
    rows = json.loads(written)
    # Decoded one by one, rows take longer. A row ends where the next begins, unless it holds such signs itself.
    lines = written[1:-1].replace("}, {", "}\n{") + "\n" * bool(rows)
    return about, rows, lines if lines.count("\n") == len(rows) else _lines(rows)


def about_archive(path: Path) -> dict[str, Any]:
    """What is told of a run that is kept, without its rows. Raises what a damaged file raises."""
    return _about(path)[0]


def _about(path: Path) -> tuple[dict[str, Any], str]:
    """What is told of a run that is kept, and its rows as they are written."""
    text = gzip.decompress(path.read_bytes()).decode()
    about, end = json.JSONDecoder().raw_decode(text, len('{"about": '))
    return about, text[end + len(', "rows": ') : -1]


def rows_digest(rows: Any, value: Mapping[str, Any]) -> str:
    """Hash of rows and value, whatever file they lie in."""
    return _digest(_lines([dict(row) for row in rows]), value)


def _digest(lines: str, value: Mapping[str, Any]) -> str:
    return hashlib.sha256((lines + json.dumps(value, sort_keys=True)).encode()).hexdigest()


def _lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
