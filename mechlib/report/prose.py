"""Prose with numbers in a live notebook: ``%%prose`` shows Markdown, and fills each number in as soon as a cell gives it.

Sphinx fills the ``{glue:text}`` of an executed page when the book is built. A notebook shows only what its kernel sends, so
the copies that ``make lab`` opens have such paragraphs in cells of this kind, and load it first (``%load_ext mechlib.report.prose``).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.display import Markdown, display, update_display
from pybtex.database import parse_file

from mechlib.checks import NO_LITERAL
from mechlib.report import numerals
from mechlib.runs.places import checkout
from mechlib.runs.spec import digest

# What stands for a number that no cell has given yet.
UNKNOWN = "…"
_RECORD = "application/papermill.record/text/plain"
_ROLE = re.compile(r"\{([\w:+-]+)\}`([^`]*)`")


def needs_numbers(text: str) -> bool:
    """Whether some number of a text comes from a cell."""
    return any(role.startswith("glue") for role, _ in _ROLE.findall(text))


def rendered(text: str, numbers: Mapping[str, Any], references: Path | None = None) -> str:
    """Markdown in which roles are what they say: a number (with its format, as in ``norm:.2f``), a citation, a formula, or their text.

    ``references``: the BibTeX file that citations are in; without one they are their keys.
    """

    def role(found: re.Match[str]) -> str:
        name, inside = found[1], found[2]
        if name.startswith("glue"):
            key, _, form = inside.partition(":")
            return _formatted(numbers[key], form) if key in numbers else UNKNOWN
        if name.startswith("cite"):
            return _cited([key.strip() for key in inside.split(",")], references, in_text=name.endswith(":t"))
        return f"${inside}$" if name == "math" else re.sub(r"\s*<[^>]*>$", "", inside)

    said = re.sub(r"```\{math\}\n(?::[^\n]*\n)*(.*?)```", r"$$\n\1$$", _ROLE.sub(role, text), flags=re.DOTALL)
    return numerals.unbroken(said)


def _formatted(value: Any, form: str) -> str:
    try:
        return format(value, form)
    except (TypeError, ValueError):
        return str(value)


def _cited(keys: list[str], references: Path | None, in_text: bool) -> str:
    known = _named(references) if references and references.is_file() else {}
    named = [known.get(key, (key, "")) for key in keys]
    if in_text:
        return ", ".join(f"{who} ({year})" if year else who for who, year in named)
    return f"({'; '.join(f'{who}, {year}' if year else who for who, year in named)})"


@cache
def _named(references: Path) -> dict[str, tuple[str, str]]:
    """Who wrote each entry, and when."""
    found: dict[str, tuple[str, str]] = {}
    for key, entry in parse_file(str(references)).entries.items():
        people = [" ".join(person.last_names) for person in entry.persons.get("author", ())] or [str(key)]
        who = people[0] if len(people) == 1 else " and ".join(people) if len(people) == 2 else f"{people[0]} et al."
        found[str(key)] = who, str(entry.fields.get("year", ""))
    return found


class Prose:
    """The paragraphs of one kernel and the numbers that its cells have given so far."""

    def __init__(self, shell: InteractiveShell, references: Path) -> None:
        self._references = references
        self._texts: dict[str, str] = {}
        self._shown: dict[str, str] = {}
        self.numbers: dict[str, Any] = {}
        publisher: Any = shell.display_pub
        publisher.register_hook(self._hear)
        shell.events.register("post_run_cell", self._refresh)

    def show(self, _line: str, text: str) -> None:
        """The magic: show a paragraph as far as its numbers are known."""
        name = digest(text)
        self._texts[name], self._shown[name] = text, rendered(text, self.numbers, self._references)
        display(Markdown(self._shown[name]), display_id=name)

    def _hear(self, message: dict[str, Any]) -> dict[str, Any]:
        """Every message that a cell sends passes here; those of ``glue`` carry a number."""
        content = message.get("content", {})
        about, data = content.get("metadata", {}).get("scrapbook"), content.get("data", {})
        if about and _RECORD in data:
            try:
                self.numbers[about["name"]] = ast.literal_eval(data[_RECORD])
            except NO_LITERAL:
                self.numbers[about["name"]] = data[_RECORD]
        return message

    def _refresh(self, _result: object) -> None:
        for name, text in self._texts.items():
            now = rendered(text, self.numbers, self._references)
            if now != self._shown[name]:
                self._shown[name] = now
                update_display(Markdown(now), display_id=name)


def load_ipython_extension(shell: InteractiveShell) -> None:
    """What ``%load_ext`` calls."""
    prose = Prose(shell, (checkout() or Path()) / "book" / "references.bib")
    shell.register_magic_function(prose.show, magic_kind="cell", magic_name="prose")  # pyright: ignore[reportCallIssue]
