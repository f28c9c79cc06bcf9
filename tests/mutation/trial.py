"""Run tests against a mutant, each in a process of its own that is forked when all foreign packages are imported."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
import time
import warnings
from collections.abc import Sequence
from importlib.machinery import SourceFileLoader
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings

FORK = get_context("fork")


class _NoShrinking:
    """That an example fails is enough: a smaller one takes long to find."""

    @staticmethod
    def pytest_configure() -> None:
        settings.register_profile("mutation", settings.default, phases=[Phase.explicit, Phase.generate])
        settings.load_profile("mutation")


def _instead(file: Path, source: str) -> None:
    """Let the next import of ``file`` take ``source``, through whatever hook instruments it."""
    original = SourceFileLoader.get_code

    def get_code(self: Any, name: str) -> Any:
        path = self.get_filename(name)
        return self.source_to_code(source.encode(), path) if Path(path) == file else original(self, name)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign]


def _child(tests: Sequence[str], file: Path | None, source: str, report: Any) -> None:
    os.setpgrp()
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1), os.dup2(sink, 2)
    if file:
        _instead(file, source)
    arguments = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-p", "no:warnings", "--tb", "no", *tests]
    code = int(pytest.main(arguments, plugins=[_NoShrinking]))
    # Nobody reads what a mutant imports, and a full pipe would wait for that.
    if not file:
        report.send(sorted(name for name, module in list(sys.modules.items()) if _foreign(module)))
    os._exit(code)


def _foreign(module: Any) -> bool:
    return "site-packages" in (getattr(module, "__file__", None) or "")


class Trial:
    """A running child: the tests of a file against one of its mutants, or against the file itself."""

    def __init__(self, tests: Sequence[str], limit: float, file: Path | None = None, source: str = "") -> None:
        self._report, theirs = FORK.Pipe(duplex=False)
        self._process = FORK.Process(target=_child, args=(tests, file, source, theirs))
        self._start, self._limit = time.monotonic(), limit
        self._process.start()
        theirs.close()

    @property
    def running(self) -> bool:
        """Whether it goes on; beyond its time limit it is ended."""
        if self._process.is_alive() and time.monotonic() - self._start > self._limit:
            os.killpg(self._process.pid or 0, signal.SIGKILL)
            self._process.join()
        return self._process.is_alive()

    @property
    def survived(self) -> bool:
        """Whether every test passed."""
        self._process.join()
        return self._process.exitcode == 0

    def imported(self) -> list[str]:
        """Waits for the end, and says which modules of foreign packages were imported."""
        found: list[str] = self._report.recv()
        self._process.join()
        return found


def warm(names: Sequence[str]) -> None:
    """Import what children would each import again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            try:
                importlib.import_module(name)
            except Exception:  # noqa: BLE001, S112 - some modules can only be imported by their package
                continue
    gc.collect()
    gc.freeze()
