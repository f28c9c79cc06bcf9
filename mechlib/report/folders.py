"""Where executed pages are: those of usual parameters in their profile's folder, changed ones in a folder that is named by what changed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from mechlib.report.notebooks import PageError, page_changes, page_parameters
from mechlib.report.parameters import Page, same
from mechlib.runs.profiles import PROFILES
from mechlib.runs.spec import digest
from mechlib.runs.study import Study
from mechlib.runs.tasks import TASKS
from mechlib.runs.usual import as_usual

Values = Mapping[str, Any]
_LONGEST = 60


def changed(page: Page, values: Values) -> dict[str, Any]:
    """The parameters of a page that are neither as usual nor what profile and task say anyway; model and profile are not among them."""
    defaults = {field.name.upper(): field.default for field in fields(Study)}
    profile, tasks = values.get("PROFILE"), page.tasks or (values.get("TASK", defaults["TASK"]),)
    known = profile in tuple(PROFILES) and all(task in tuple(TASKS) for task in tasks)
    found: dict[str, Any] = {}
    for name, value in values.items():
        own = page.parameters[name]
        usual = own if name in (*page.own, *page.fixed) else defaults.get(name, own)
        spoken = usual is None and known and all(as_usual(name.lower(), value, str(profile), task) for task in tasks)
        if name not in ("MODEL", "PROFILE") and not same(value, usual) and not spoken:
            found[name] = value
    return found


def all_changes(book: Sequence[Page], values: Mapping[str, Values]) -> dict[str, list[Any]]:
    """What is changed anywhere in the book: each name with its values, of which there is one unless cells of pages differ."""
    found: dict[str, list[Any]] = {}
    for page in book:
        for name, value in changed(page, values[page.name]).items():
            plain = list(value) if isinstance(value, tuple) else value
            if plain not in found.setdefault(name, []):
                found[name].append(plain)
    return dict(sorted(found.items()))


def in_words(changes: Mapping[str, Sequence[Any]]) -> str:
    """Changes as the command line takes them."""
    return " ".join(f"{name}={'/'.join(map(written, values))}" for name, values in changes.items())


def written(value: Any) -> str:
    """A value as the command line takes it."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value).replace(" ", "")


def folder_name(profile: str, changes: Mapping[str, Sequence[Any]]) -> str:
    """``quick``, or ``quick-steps-20-`` and eight digits of all that changed."""
    if not changes:
        return profile
    words = "-".join(word for name, values in changes.items() for word in (name, *map(_short, values)) if word).lower()
    return f"{profile}-{re.sub(r'[^a-z0-9_]+', '-', words)[:_LONGEST].strip('-_')}-{digest(sorted(changes.items()))[:8]}"


def _short(value: Any) -> str:
    """A number or a word; paths and long values are told apart by the digits alone."""
    text = str(value)
    return text if not isinstance(value, list | dict) and re.fullmatch(r"[\w.+-]{1,20}", text) else ""


def place(results: Path, page: Page, values: Values, changes: Mapping[str, Sequence[Any]], study: str = "") -> Path:
    """Where a page goes in a model's folder of ``results``: never where one with other parameters is.

    A page of a study of the book goes to the folder of that ``study``. A changed page that was executed before is found wherever
    it is. The pages of a profile's folder may be made with changed
    parameters (the committed ones of ``full`` are): those with the usual ones then go to ``full-default``.
    """
    name, profile = f"{page.name}.ipynb", values["PROFILE"]
    if changed(page, values):
        first = results / (study or folder_name(profile, changes)) / name
        others = sorted(path for path in results.glob(f"*/{name}") if path != first)
        return next((path for path in (first, *others) if _made_with(path, page, values)), first)
    usual = results / profile / name
    return results / f"{profile}-default" / name if page_changes(usual, lambda found: changed(page, _known(page, found))) else usual


def _made_with(path: Path, page: Page, values: Values) -> bool:
    try:
        found = _known(page, page_parameters(path))
    except PageError:
        return False
    return all(same(found[name], value) for name, value in values.items() if name != "MODEL")


def _known(page: Page, found: Values) -> dict[str, Any]:
    """Recorded parameters; those that came later have their defaults."""
    return {name: found.get(name, default) for name, default in page.parameters.items()}
