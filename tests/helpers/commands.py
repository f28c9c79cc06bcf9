"""The real command in a checkout of its own: a copy of the package and its pages, a tiny model. It is started, killed and looked at."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from small_book import ROOT, copy_book, save_facts, save_model

# What the copy does more: it notes which runs are computed, a disk can be small, and no book is rendered.
STORE = """
_finish, _ROOM = Store.finish, 0


def _noted(self, scratch, spec, *rest):
    with (self.root.parent / "computed.txt").open("a") as file:
        file.write(spec.id + "\\n")
    _finish(self, scratch, spec, *rest)


Store.finish = _noted
"""
BOOK = """
def build(root, strict=True, say=None):
    return root
"""
SMALL = "KNOWN_THRESHOLD=0.0 FORGET_SET_SIZE=4 FORGET_SETS=1"
# What the page on facts does not take.
EDITED = "STEPS=2 LOCALIZATIONS=fact_lookup,random_mlps FORMATS=one_shot"


@dataclass(frozen=True)
class Running:
    """A command at work, leader of its process group."""

    process: subprocess.Popen
    said: Path
    complained: Path

    def wait(self, seconds: float = 240) -> int:
        """The exit code as a shell gives it: a process that ended by a signal (Python itself can end so after Ctrl-C) has 128 more."""
        code = self.process.wait(seconds)
        return code if code >= 0 else 128 - code

    def send(self, number: int, to: str = "parent") -> bool:
        """Send a signal to the ``parent``, its ``group``, a ``worker`` or the ``kernel``, once there is one; false if it ends before."""
        while self.process.poll() is None:
            if to == "group":
                os.killpg(self.process.pid, number)
                return True
            found = [self.process.pid] if to == "parent" else self._children({"worker": "spawn_main", "kernel": "ipykernel"}[to])
            if found:
                os.kill(found[0], number)
                return True
            time.sleep(0.02)
        return False

    def _children(self, word: str) -> list[int]:
        try:
            found = psutil.Process(self.process.pid).children(recursive=True)
            return [child.pid for child in found if word in " ".join(child.cmdline())]
        except psutil.Error:
            return []

    @property
    def lines(self) -> list[str]:
        return self.said.read_text().splitlines()

    @property
    def errors(self) -> str:
        return self.complained.read_text()


@dataclass(frozen=True)
class Checkout:
    """A copy of the project that computes a few runs of a tiny model."""

    root: Path
    pages: str = "01"

    @classmethod
    def at(cls, root: Path, pages: str = "01") -> Checkout:
        shutil.copytree(ROOT / "mechlib", root / "mechlib")
        for name, more in (("runs/store.py", STORE), ("report/book.py", BOOK)):
            with (root / "mechlib" / name).open("a") as file:
                file.write(f"\n{more}")
        (root / "Makefile").write_text("")
        copy_book(root)
        save_model(root / "tiny")
        save_facts(root / "facts.csv", each=30)
        return cls(root, pages)

    def start(self, store: Path, jobs: int = 1, largest: int | None = None) -> Running:
        """``make execute`` on a store that lies in a folder of its own; ``largest``: bytes that a file can have, as on a full disk."""
        store.mkdir(parents=True, exist_ok=True)
        number = len(list(store.glob("said-*")))
        said, complained = store / f"said-{number}", store / f"complained-{number}"
        given = f"FACTS={self.root / 'facts.csv'} {SMALL} {EDITED if '05' in self.pages else ''}"
        command = [sys.executable, "-W", "ignore", "-m", "mechlib", "execute", "--model", str(self.root / "tiny"), "--pages", self.pages,
                   "--jobs", str(jobs), "--params", given]  # fmt: skip
        mine = {"PYTHONPATH": str(self.root), "MECHLIB_RUNS": str(store / "runs"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

        def limit() -> None:
            if largest:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

        with said.open("w") as out, complained.open("w") as err:
            process = subprocess.Popen(
                command, stdout=out, stderr=err, env={**os.environ, **mine}, cwd=self.root, start_new_session=True, preexec_fn=limit
            )
        return Running(process, said, complained)


    def forget_pages(self) -> None:
        """Remove the executed pages: the next command executes them again."""
        shutil.rmtree(self.root / "book" / "results", ignore_errors=True)


def finished(store: Path) -> dict[str, tuple[int, str]]:
    """Every run that is complete: when it was written, and the digest of its rows and value."""
    found = sorted((store / "runs").glob("*/*/run.json"))
    return {path.parent.name: (path.stat().st_mtime_ns, json.loads(path.read_text())["digest"]) for path in found}


def tables(store: Path) -> dict[str, str]:
    """The digest of every complete run."""
    return {name: digest for name, (_, digest) in finished(store).items()}


def left_over(store: Path) -> list[int]:
    """Processes that work for a store, workers and kernels included."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get("MECHLIB_RUNS") == str(store / "runs"):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def gone(store: Path, seconds: float = 15) -> bool:
    """Whether within that time nothing works for a store any more."""
    end = time.monotonic() + seconds
    while left_over(store) and time.monotonic() < end:
        time.sleep(0.1)
    return not left_over(store)
