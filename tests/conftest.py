"""What every test begins with: shape checks, one thread, and the models as fixtures."""

from __future__ import annotations

import inspect
import os

import pytest
import torch
from hypothesis import settings
from jaxtyping import install_import_hook
from xdist.scheduler import LoadFileScheduling

# What nobody asks for is the same on every machine, in subprocesses and kernels too; make test-precisions asks for both.
os.environ.setdefault("MECHLIB_PRECISION", "float32")

# Shapes are checked under pytest only, so they cost a user nothing.
install_import_hook("mechlib", "typechecking.check")

from tiny_models import FAMILIES, tiny_model  # noqa: E402

from mechlib.models import LanguageModel, load, resolve  # noqa: E402
from mechlib.runs.study import Study  # noqa: E402

# Pages and command lines give a study anything: what counts is its own check, not the type checker's.
Study.__init__ = inspect.unwrap(Study.__init__)


# The same examples in every run, and no more of them than find something.
settings.register_profile("short", max_examples=40, deadline=None, derandomize=True)
settings.load_profile("short")

# Tiny matrices: a second thread only waits, and much longer where something else runs beside the tests.
torch.set_num_threads(1)


@pytest.fixture(scope="session", params=list(FAMILIES))
def tiny(request: pytest.FixtureRequest) -> LanguageModel:
    """A tiny random model of each family in turn."""
    return tiny_model(request.param)


@pytest.fixture(scope="session")
def tiny_gemma3() -> LanguageModel:
    """A tiny random Gemma-3."""
    return tiny_model("gemma3")


@pytest.fixture(scope="session")
def real() -> LanguageModel:
    """The embedded model, from its wheels."""
    return load(resolve("gemma-3-270m"))


class ByFile(LoadFileScheduling):
    """A process takes a file of tests at a time, and all that are about the rendered book, so that it is rendered once."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "tests/browser" if file.startswith("tests/browser/") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFile:
    """What ``--dist loadfile`` goes by."""
    config.option.loadscopereorder = False  # it would begin with the files of most tests, and end with the longest ones
    return ByFile(config, log)


# Folders whose tests start programs, processes or a browser: few tests, and long ones.
_LONG = ("browser", "report", "recompute", "faults", "library", "runs", "models", "edit", "patching")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, so that no process is left alone with one at the end."""
    folder = {name: number for number, name in enumerate(_LONG)}
    items.sort(key=lambda item: folder.get(item.path.parent.name, len(folder)))
