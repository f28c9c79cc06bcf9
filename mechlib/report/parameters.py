"""Parameters of pages: read from their cells, set from outside, checked before any work."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mechlib.checks import NO_LITERAL, ParameterError, like
from mechlib.errors import meant, shown
from mechlib.runs.profiles import PROFILES
from mechlib.runs.study import Study


@dataclass(frozen=True)
class Page:
    """One page: its source, its parameters, and which runs it shows.

    The values of ``own`` parameters neither come from earlier pages nor flow to later ones; those of ``fixed`` ones cannot be
    given from outside either, because the page is about them.
    A page of several ``tasks`` shows the same runs of each. ``reads``: files and folders of the book that it shows.
    ``profiles``: those whose book it is in: a question that takes long, and that few forget sets do not answer, is not for all.
    ``front``: it shows how all claims stand, from whatever was run, so it is executed last.
    """

    path: Path
    notebook: Any
    parameters: Mapping[str, Any]
    needs: tuple[str, ...]
    own: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    profiles: tuple[str, ...] = tuple(PROFILES)
    front: bool = False

    @property
    def name(self) -> str:
        """``03_editing``."""
        return self.path.stem


def read_page(path: Path) -> Page:
    """Read a py:percent page; raises :class:`ParameterError` if its parameter cell is more than assignments of plain values."""
    import jupytext  # an executed page, which reads no source, would wait for it

    notebook: Any = jupytext.read(path)
    cells = [cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    parameters: dict[str, Any] = {}
    try:
        for statement in ast.parse("\n".join(cells)).body:
            name, value = _assignment(statement)
            parameters[name] = ast.literal_eval(value)
    except NO_LITERAL:
        raise ParameterError(f"{path.name}: the parameter cell may only assign plain values, one name a line (STEPS = 20)") from None
    about = notebook.metadata.get("mechlib", {})
    listed = (tuple(about.get(name, ())) for name in ("needs", "own", "fixed", "tasks", "reads"))
    return Page(path, notebook, parameters, *listed, profiles=tuple(about.get("profiles", PROFILES)), front=bool(about.get("front")))


def _assignment(statement: ast.stmt) -> tuple[str, ast.expr]:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            return name, value
        case _:
            raise ValueError("no plain assignment")


def read_pages(folder: Path) -> list[Page]:
    """All pages of the book in their order."""
    return [read_page(path) for path in sorted(folder.glob("[0-9][0-9]_*.py"))]


def parse(text: str, pages: Sequence[Page]) -> dict[str, Any]:
    """``"LEARNING_RATE=5e-5 STEPS=20"`` to values; raises :class:`ParameterError`, naming the known, for any other name."""
    known = sorted({name for page in pages for name in page.parameters if name not in page.fixed})
    values: dict[str, Any] = {}
    for word in text.split():
        name, separator, value = word.partition("=")
        if not separator or name not in known:
            raise ParameterError(f"unknown parameter {shown(name)}{meant(name, known)}: the pages have {', '.join(known)}")
        found = _value(value)
        listed = any(isinstance(page.parameters.get(name), list | tuple) for page in pages)
        values[name] = [found] if listed and found is not None and not isinstance(found, list | tuple) else found
        if name not in Study.names():  # what only a page knows is checked by its default
            like("PARAMS", {name: values[name]}, next({name: page.parameters[name]} for page in pages if name in page.parameters))
    return values


def page_values(pages: Sequence[Page], given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The values each page runs with.

    What is given counts for every page that has the parameter. A value that was changed in a page's
    own cell counts for that page and for the later ones that keep the default, because they depend
    on it: changing 03's learning rate re-runs 03 and 04.
    """
    defaults = {field.name.upper(): field.default for field in fields(Study)}
    flowing: dict[str, Any] = {}
    resolved: dict[str, dict[str, Any]] = {}
    for page in pages:
        values: dict[str, Any] = {}
        for name, own in page.parameters.items():
            if name in (*page.own, *page.fixed):
                values[name] = own if name in page.fixed else given.get(name, own)
                continue
            changed = name in defaults and not same(own, defaults[name])
            if changed:
                flowing[name] = own
            values[name] = given.get(name, own if changed else flowing.get(name, own))
        resolved[page.name] = values
    return resolved


def studies(page: Page, values: Mapping[str, Any]) -> tuple[Study, ...]:
    """The studies of a page: one for each of its tasks, or one."""
    return tuple(study({**values, "TASK": task}) for task in page.tasks) or (study(values),)


def study(values: Mapping[str, Any]) -> Study:
    """The study of a page's parameters; raises :class:`ParameterError` for values that cannot be."""
    known = set(Study.names())
    return Study(**{name.lower(): value for name, value in values.items() if name in known})


def same(one: Any, other: Any) -> bool:
    """Equal, whether written as list or tuple."""
    return (list(one) if isinstance(one, list | tuple) else one) == (list(other) if isinstance(other, list | tuple) else other)


def _value(text: str) -> Any:
    """A Python literal, a comma-separated list of words, or a word."""
    try:
        return ast.literal_eval(text)
    except NO_LITERAL:
        return text.split(",") if "," in text else text
