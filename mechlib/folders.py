"""Paths as users give them, and as they may be kept."""

from __future__ import annotations

from pathlib import Path


def named_folder(given: str) -> Path | None:
    """The absolute path (a relative one counts from the working directory) of a folder that is there or can be made.

    ``None`` if it can be neither: blank, a file, below a file, in a circle of links, too long, or in the home of nobody.
    """
    if not given.strip():
        return None
    try:
        folder = Path(given).expanduser().absolute()
        nearest = next(place for place in (folder, *folder.parents) if place.exists() or place.is_symlink())
        return folder if nearest.is_dir() else None
    except (OSError, RuntimeError, ValueError):
        return None


def without_home(given: str) -> str:
    """The same path with ``~`` for the user's home, whose name belongs in nothing that is kept; other text as it is."""
    try:
        home = str(Path.home())
    except RuntimeError:  # nobody's
        return given
    return f"~{given.removeprefix(home)}" if len(home) > 1 and given.startswith(f"{home}/") else given
