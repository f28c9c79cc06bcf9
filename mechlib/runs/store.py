"""The store: one folder a run, complete or absent."""

from __future__ import annotations

import gzip
import json
import os
import platform
import shutil
import tempfile
import time
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mechlib.runs.result import Result
from mechlib.runs.spec import RunSpec

_ROOM = 512 * 1024**2


class StoreError(RuntimeError):
    """The store cannot be read or written; the message says what to do."""


def default_root() -> Path:
    """``MECHLIB_RUNS``, or ``runs`` beside the library, from whatever folder a page is run."""
    return Path(os.environ.get("MECHLIB_RUNS") or Path(__file__).parents[2] / "runs")


def default_store() -> Store:
    """The runs of this machine, and those whose rows are committed with the book."""
    return Store(default_root(), Path(__file__).parents[2] / "book" / "results" / "rows")


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
        return self.root / spec.stage / spec.id

    def has(self, spec: RunSpec, files: bool = False) -> bool:
        """Whether the run is complete; with ``files`` also what lies beside its rows."""
        return (self.folder(spec) / "run.json").is_file() or (not files and self._archive(spec) is not None)

    def _archive(self, spec: RunSpec) -> Path | None:
        path = self.kept / spec.stage / f"{spec.id}.json.gz" if self.kept else None
        return path if path and path.is_file() else None

    def keep(self, spec: RunSpec) -> bool:
        """Put rows and value of a complete run into ``kept``, where they can be committed; false if they are there already."""
        if self.kept is None or self._archive(spec):
            return False
        folder, target = self.folder(spec), self.kept / spec.stage / f"{spec.id}.json.gz"
        about = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_suffix(".partial")
        # No time of writing in the file: the same run gives the same bytes.
        aside.write_bytes(gzip.compress(json.dumps({"about": about, "rows": rows}).encode(), mtime=0))
        aside.replace(target)
        return True

    def read(self, spec: RunSpec) -> Result:
        """A complete run; raises :class:`StoreError` if its files were altered."""
        folder, archive = self.folder(spec), self._archive(spec)
        if archive and not (folder / "run.json").is_file():
            try:
                kept = json.loads(gzip.decompress(archive.read_bytes()))
                return Result(kept["rows"], kept["about"]["value"], None, kept["about"]["manifest"]["seconds"])
            except (OSError, EOFError, ValueError, KeyError, zlib.error) as error:
                raise StoreError(f"{archive} is damaged ({error}): delete it and run again") from None
        try:
            about = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
            if len(rows) != about["rows"]:
                raise ValueError(f"{len(rows)} of {about['rows']} rows")
            return Result(rows, about["value"], folder, about["manifest"]["seconds"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{folder} is damaged ({error}): delete it and run again") from None

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

    @contextmanager
    def writing(self, spec: RunSpec) -> Generator[Path]:
        """A scratch folder that becomes the run's folder when :meth:`finish` was called in it."""
        self.check_writable()
        scratch = Path(tempfile.mkdtemp(dir=self.root, prefix=f".{os.getpid()}-"))
        try:
            yield scratch
            if (scratch / "run.json").is_file():
                target = self.folder(spec)
                target.parent.mkdir(exist_ok=True)
                if not target.exists():
                    scratch.replace(target)
        except OSError as error:
            raise StoreError(f"{self.root}: {error.strerror or error}; finished runs are untouched") from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def finish(self, scratch: Path, spec: RunSpec, result: Result, seconds: float) -> None:
        """Write rows, value and manifest into the scratch folder, the manifest last."""
        lines = "".join(json.dumps(dict(row)) + "\n" for row in result.rows)
        (scratch / "rows.jsonl").write_text(lines, encoding="utf-8")
        about = {"spec": spec.to_json(), "rows": len(result.rows), "value": dict(result.value), "manifest": manifest(seconds)}
        with (scratch / "run.json").open("w", encoding="utf-8") as file:
            json.dump(about, file, indent=1)
            file.flush()
            os.fsync(file.fileno())

    def sweep(self) -> None:
        """Remove scratch folders of processes that are gone."""
        for scratch in self.root.glob(".[0-9]*-*"):
            pid = int(scratch.name[1:].split("-")[0])
            if not Path(f"/proc/{pid}").exists() and Path("/proc").exists():
                shutil.rmtree(scratch, ignore_errors=True)


def manifest(seconds: float) -> dict[str, Any]:
    """Where and with what a run was made."""
    import torch

    packages = ("torch", "transformers", "transformer_lens", "scikit-learn", "numpy")
    return {
        "seconds": round(seconds, 2),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
    }
