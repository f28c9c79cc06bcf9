"""References are listed by names and year, as the text cites them, and not by letters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from pybtex.plugin import register_plugin
from pybtex.style.formatting.plain import Style as Plain
from pybtex.style.labels import BaseLabelStyle


def setup(app: Any) -> None:
    """Make it the style of the list."""
    register_plugin("pybtex.style.formatting", "names", Names)
    app.config.bibtex_default_style = "names"


class Labels(BaseLabelStyle):
    """``Guo et al., 2025``; those that would be the same get a letter."""

    def format_labels(self, sorted_entries: Sequence[Any]) -> Iterator[str]:
        """A label for each entry, in their order."""
        plain = [label(entry) for entry in sorted_entries]
        count, seen = Counter(plain), Counter[str]()
        for one in plain:
            seen[one] += 1
            yield one + (chr(ord("a") + seen[one] - 1) if count[one] > 1 else "")


class Names(Plain):
    """The usual style with these labels."""

    default_label_style = Labels


def label(entry: Any) -> str:
    """The names of one or two authors, or the first of more, and the year."""
    names = [" ".join((*person.prelast_names, *person.last_names)).strip("{}") for person in entry.persons.get("author", ())]
    who = f"{names[0]} et al." if len(names) > 2 else " and ".join(names) or entry.fields.get("title", entry.key)
    return f"{who}, {entry.fields['year']}" if "year" in entry.fields else who
