"""Run tests against mutants, each in a process of its own.

Tests are collected once, and for a fault inside a function the collected session is forked: the child
gives the function its faulty code, and runs the tests until one fails. A fault in what is computed
at import needs a new import, so that child is forked before the library is imported.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest
from hypothesis import Phase, settings

from tests.mutation.mutants import Mutant

# What a child ends with if not the tests but the trial itself fails: no mutant is killed by that.
BROKEN = 70
QUIET = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-p", "no:warnings", "--tb", "no"]


def forked(run: Callable[[], int], limit: float) -> int:
    """The exit code of ``run`` in a child; -1 if it takes more than ``limit`` seconds."""
    child = os.fork()
    if not child:
        os.setpgrp()
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        code = BROKEN
        try:
            code = int(run())
        finally:
            os._exit(code)
    end = time.monotonic() + limit
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -1


class _Session:
    """Instead of running the tests that pytest collected: hands over a function that runs them once."""

    def __init__(self, use: Callable[[Callable[[], int]], None]) -> None:
        self._use = use

    @staticmethod
    def pytest_configure() -> None:
        # That an example fails is enough: a smaller one takes long to find.
        settings.register_profile("mutation", settings.default, phases=[Phase.explicit, Phase.generate])
        settings.load_profile("mutation")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        def run() -> int:
            for number, item in enumerate(session.items):
                following = session.items[number + 1] if number + 1 < len(session.items) else None
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if session.testsfailed:
                    return 1
            return 0

        self._use(run)
        return True


def in_session(tests: Sequence[str], use: Callable[[Callable[[], int]], None]) -> int:
    """Collect tests and give what runs them to ``use``; pytest's exit code."""
    return int(pytest.main([*QUIET, *tests], plugins=[_Session(use)]))


def run_inside(run: Callable[[], int], file: Path, mutant: Mutant, limit: float) -> int:
    """The exit code of the collected tests once the functions of ``file`` have the mutant's code."""

    def child() -> int:
        graft(file, mutant.source)
        return run()

    return forked(child, limit)


def run_imported(tests: Sequence[str], file: Path, mutant: Mutant, limit: float) -> int:
    """The exit code of the tests in a process that imports the mutant."""

    def child() -> int:
        _instead(file, mutant.source)
        return int(pytest.main([*QUIET, *tests]))

    return forked(child, limit)


def graft(file: Path, source: str) -> None:
    """Give every living function of a file its code in ``source``."""
    module = next(one for one in list(sys.modules.values()) if getattr(one, "__file__", None) == str(file))
    new = dict(_codes(module.__spec__.loader.source_to_code(source.encode(), str(file))))
    for one in gc.get_objects():
        if isinstance(one, FunctionType) and one.__code__.co_filename == str(file) and one.__code__.co_qualname in new:
            one.__code__ = new[one.__code__.co_qualname]


def _codes(code: CodeType) -> list[tuple[str, CodeType]]:
    inner = [part for part in code.co_consts if isinstance(part, CodeType)]
    return [(part.co_qualname, part) for part in inner] + [found for part in inner for found in _codes(part)]


def _instead(file: Path, source: str) -> None:
    """Let the next import of ``file`` take ``source``, through whatever hook instruments it."""
    original = SourceFileLoader.get_code

    def get_code(self: Any, name: str) -> Any:
        path = self.get_filename(name)
        return self.source_to_code(source.encode(), path) if Path(path) == file else original(self, name)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign]


def foreign() -> list[str]:
    """Names of the imported modules of other packages."""
    return sorted(name for name, module in list(sys.modules.items()) if "site-packages" in (getattr(module, "__file__", None) or ""))


def warm(names: Sequence[str]) -> None:
    """Import what children would each import again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            try:
                importlib.import_module(name)
            except Exception:  # some modules can only be imported by their package
                continue
    gc.collect()
    gc.freeze()
