"""How the runs behind figures were computed, for readers of the built book: a file a stage, from what is kept beside their rows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path

_NAMED = re.compile(r'<a href="runs:(\w+)">(.*?)</a>')
_LINKED = re.compile(r"_static/runs/(\w+)\.json\"")
# Of what is kept: what was asked, and how it was computed. Rows and values stay in the repository.
_TOLD = ("id", "label", "asked", "manifest")


def linked(html: str, kept: Path, address: Callable[[str], str]) -> str:
    """A page whose figures link to the runs of their stages; where none of a stage is ``kept`` (a folder a stage), its name stays.

    ``address``: where a path from the book's root is from the page.
    """

    def link(found: re.Match[str]) -> str:
        there = next((kept / found[1]).glob("*.json.gz"), None)
        return f'<a href="{address(f"_static/runs/{found[1]}.json")}">{found[2]}</a>' if there else found[2]

    return _NAMED.sub(link, html)


def stages(html: str) -> set[str]:
    """The stages whose runs a built page links to."""
    return {*_LINKED.findall(html)}


def write(kept: Path, of: Iterable[str], folder: Path) -> None:
    """Write a file for each of these stages, its runs by id."""
    from mechlib.runs.store import about_archive  # it brings torch along, which whoever only draws does without

    folder.mkdir(parents=True, exist_ok=True)
    for stage in of:
        told = {path.name.partition(".")[0]: about_archive(path) for path in sorted((kept / stage).glob("*.json.gz"))}
        short = {key: {name: about[name] for name in _TOLD} for key, about in told.items()}
        (folder / f"{stage}.json").write_text(json.dumps(short, separators=(",", ":")), encoding="utf-8")
