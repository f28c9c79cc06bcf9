"""What a user can mend is one kind of error, said in one line."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

_LONGEST = 2000


class MechlibError(Exception):
    """Something that a user can mend. Its text is one line that says what is wrong and what to do.

    The command line shows that line and ends with the code 2; a notebook shows it instead of a traceback.
    """

    def __str__(self) -> str:
        return one_line(super().__str__())

    def _render_traceback_(self) -> list[str]:
        """What IPython asks an exception for, to be shown in the place of a traceback."""
        return [f"{type(self).__name__}: {self}"]


def one_line(text: str) -> str:
    """The text with what would break its line (or a terminal) written as escapes, and its middle left out if it is very long."""
    line = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} ... {line[-_LONGEST // 4 :]}"


def shown(value: Any, longest: int = 300) -> str:
    """A value as Python writes it, cut short; its kind where Python cannot write it (a whole number of 5,000 digits)."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return f"<{type(value).__name__}>"
    return text if len(text) <= longest else f"{text[: longest - 4]} ..."


def meant(value: Any, known: Iterable[str]) -> str:
    """`` (did you mean quick?)`` if one of the known names is close to the value, else nothing."""
    names = {name.lower(): name for name in known}
    close = get_close_matches(value.lower()[:100], names, n=1) if isinstance(value, str) else []
    return f" (did you mean {names[close[0]]}?)" if close else ""
