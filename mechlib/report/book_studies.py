"""The studies of the book, which ``book/studies.toml`` names: what they are asked with, which pages show them, and where these are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field

from mechlib.checks import ParameterError
from mechlib.errors import meant, shown
from mechlib.report.folders import changed, written
from mechlib.report.parameters import Page
from mechlib.report.typed import Typed, TypedError, read_typed
from mechlib.runs.places import checkout
from mechlib.runs.profiles import PROFILES
from mechlib.runs.study import Study
from mechlib.runs.tasks import TASKS

FILE = "studies.toml"


class BookStudy(Typed):
    """One study: ``parameters`` are those that are not as usual, as pages spell them; task and profile stand apart."""

    key: str = Field(pattern=r"^[a-z]+$")
    title: str = Field(min_length=1)
    task: str
    profile: str
    pages: list[str] = Field(min_length=1)
    parameters: dict[str, Any] = {}

    @property
    def values(self) -> dict[str, Any]:
        """All that is asked for, as pages spell it."""
        return {"PROFILE": self.profile, "TASK": self.task, **self.parameters}

    @property
    def words(self) -> str:
        """Its parameters as the command line takes them."""
        return " ".join(f"{name}={written(value)}" for name, value in self.values.items() if name != "PROFILE")

    @property
    def folder(self) -> str:
        """The folder of its pages in a model's results."""
        return f"{self.profile}-{self.key}"

    def of(self, model: str, shown: Sequence[str] | None = None) -> Study:
        """The study of a model; of a page, as far as its parameters (``shown``) go. Raises :class:`ParameterError` for wrong values."""
        asked = {name: value for name, value in self.parameters.items() if shown is None or name in shown}
        return Study(model=model, profile=self.profile, task=self.task, **{name.lower(): value for name, value in asked.items()})

    def asks(self, page: Page, values: Mapping[str, Any]) -> bool:
        """Whether a page of these values shows this study, of whatever model."""
        known = {name: value for name, value in self.values.items() if name in page.parameters and name not in page.fixed}
        asked, own = changed(page, values), changed(page, {**page.parameters, **known})
        return page.name in self.pages and values.get("PROFILE") == self.profile and _plain(asked) == _plain(own)


class _Studies(Typed):
    study: list[BookStudy] = []


def _plain(value: Any) -> Any:
    """A value whose lists and tuples are told apart by nothing."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def read_studies(path: Path) -> list[BookStudy]:
    """Read a file of studies (none, if there is no file); raises :class:`TypedError`, which names the first field that is wrong."""
    if not path.is_file():
        return []
    found = read_typed(path, _Studies).study
    known = [name for name in Study.names() if name not in ("MODEL", "PROFILE", "TASK")]
    for one in found:
        named = (("task", [one.task], TASKS), ("profile", [one.profile], PROFILES), ("parameter", one.parameters, known))
        for kind, given, possible in named:
            for name in given:
                if name not in possible:
                    raise TypedError(f"{path.name}: study {one.key}: there is no {kind} {shown(name)}{meant(name, list(possible))}")
    if len({one.key for one in found}) < len(found):
        raise TypedError(f"{path.name}: two studies have one key")
    return found


@cache
def declared_studies() -> list[BookStudy]:
    """The studies of the book that the package lies beside; none outside a checkout."""
    folder = checkout()
    return read_studies(folder / "book" / FILE) if folder else []


def study_called(key: str, known: Sequence[BookStudy]) -> BookStudy:
    """The study of this key; raises :class:`ParameterError`, which names all."""
    found = next((one for one in known if one.key == key), None)
    if found is None:
        keys = [one.key for one in known]
        raise ParameterError(f"STUDY={shown(key)}: there is no such study{meant(key, keys)} (book/{FILE} has: {', '.join(keys) or 'none'})")
    return found


def study_behind(study: Study, known: Sequence[BookStudy]) -> BookStudy | None:
    """The study of the book that a page's study is of: it edits the same, and what else it says is so or as usual.

    A page gives only those parameters that it has; the others of the book's study are for other pages.
    """
    usual = Study(model=study.model, profile=study.profile, task=study.task)
    for one in (one for one in known if (one.task, one.profile) == (study.task, study.profile)):
        own = one.of(study.model)
        alike = all(getattr(study, name) in (getattr(own, name), getattr(usual, name)) for name in map(str.lower, Study.names()))
        if alike and (study.size, study.localizations) == (own.size, own.localizations):
            return one
    return None


def shown_by(page: Page, values: Mapping[str, Any], known: Sequence[BookStudy]) -> BookStudy | None:
    """The study that a page of these values shows, if it is one of the book's."""
    return next((one for one in known if one.asks(page, values)), None)
