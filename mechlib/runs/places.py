"""Where runs and results are: beside a checkout of the project, else in the user's own folder; never inside an installed package."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from mechlib.errors import MechlibError, shown
from mechlib.folders import named_folder

_PACKAGE = Path(__file__).parents[1]


class PlaceError(MechlibError, RuntimeError):
    """A folder that cannot be used; the message says what to do."""


def checkout() -> Path | None:
    """The project's folder, if the package lies in one: it has the book's pages and the Makefile beside it."""
    folder = _PACKAGE.parent
    return folder if (folder / "book").is_dir() and (folder / "Makefile").is_file() else None


def runs_folder() -> Path:
    """``MECHLIB_RUNS`` (a relative path counts from the working directory), else ``runs`` in the checkout or in the user's data folder.

    Raises :class:`PlaceError` for a blank and for what is no folder and cannot be one.
    """
    given = os.environ.get("MECHLIB_RUNS")
    if given is None or given == "":
        return (checkout() or platformdirs.user_data_path("mechlib")) / "runs"
    if not given.strip():
        raise PlaceError("MECHLIB_RUNS is blank: give a folder, or leave it out")
    if folder := named_folder(given):
        return folder
    raise PlaceError(f"MECHLIB_RUNS={shown(given)} is no folder: name one that is, or that can be made")


def kept_folder() -> Path | None:
    """Where rows are kept with the book, if there is a checkout."""
    folder = checkout()
    return folder / "book" / "results" / "rows" if folder else None
