"""Titles that tell executed pages apart, in the tab, the search and the links: model, profile, and what else they were made with."""

from __future__ import annotations

import re
from typing import Any

_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
_LONGEST = 60
_BETWEEN = " · "


def titled_by(model: str, profile: str, other: str = "") -> str:
    """``gemma-3-270m, full, world facts``: ``other`` is the study that a page shows, or its parameters that are not as usual.

    ``profile`` is "" for a page without a study of its own.
    """
    short = other if len(other) <= _LONGEST else f"{other[:_LONGEST]} ..."
    return ", ".join(part for part in (model, profile, re.sub(r"[\\`*_{}\[\]<>$#|~]", r"\\\g<0>", short)) if part)


def with_title(notebook: Any, about: str) -> None:
    """Let the first title of a notebook end with ``about``."""
    cell = next((cell for cell in notebook.cells if cell.cell_type == "markdown" and _TITLE.search(cell.source)), None)
    if cell is not None and about:
        cell.source = _TITLE.sub(lambda found: f"# {found[1]}{_BETWEEN}{about}", cell.source, count=1)


def own_title(title: str) -> str:
    """The title of a page without what it was made with."""
    return title.partition(_BETWEEN)[0]
