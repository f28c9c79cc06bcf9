"""Checks of what a user gives, as a parameter or an argument: each returns the value or raises one line that says what would do."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from mechlib.errors import MechlibError, meant, shown

# All that reading a literal can raise: ``{[1]: 2}`` is a TypeError, and what is nested too deeply ends in the last two.
NO_LITERAL = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)
# Seeds of numpy and scikit-learn have 32 bits; nothing else that is counted is larger.
MOST = 2**32 - 1
_LARGEST = 1e300
_Kind = TypeVar("_Kind")
_Item = TypeVar("_Item")
_HUB = re.compile(r"[\w.-]+(/[\w.-]+)?(:[\w.-]+)?", re.ASCII)


class ParameterError(MechlibError, ValueError):
    """A parameter or an argument with a value that cannot be used; the message names the ones that can."""


def is_a(value: object, kind: type | tuple[type, ...]) -> bool:
    """Whether a value is of the kind that its annotation says: who calls from a notebook has no type checker."""
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))


def choice(name: str, value: Any, known: Collection[str]) -> str:
    """One of the known names."""
    if not isinstance(value, str) or value not in known:
        would = f"choose {', '.join(known)}" if known else "there is none, leave it out"
        raise ParameterError(f"{name}={shown(value)} is unknown{meant(value, known)}: {would}")
    return value


def choices(name: str, value: Any, known: Collection[str]) -> tuple[str, ...]:
    """One or several of the known names; ``"one_shot,question"`` is two, as on the command line."""
    values = listed(value)
    if not isinstance(values, list | tuple) or not values:
        raise ParameterError(f"{name}={shown(value)}: choose one or more of {', '.join(known)}")
    return tuple(dict.fromkeys(choice(name, one, known) for one in values))


def listed(value: Any) -> Any:
    """Names between commas as a tuple, and anything else as it is."""
    return tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else value


def whole(name: str, value: Any, least: int, most: int = MOST) -> int:
    """A whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ParameterError(f"{name}={shown(value)}: give a whole number of at least {least}")
    if value > most:
        raise ParameterError(f"{name}={shown(value)}: give a whole number of at most {most:,}")
    return value


def positive(name: str, value: Any) -> float:
    """A finite number above 0."""
    if not _is_number(value) or not 0 < value <= _LARGEST:
        raise ParameterError(f"{name}={shown(value)}: give a number above 0")
    return value


def probability(name: str, value: Any) -> float:
    """A number from 0 to below 1."""
    if not _is_number(value) or not 0 <= value < 1:
        raise ParameterError(f"{name}={shown(value)}: give a probability from 0 to below 1")
    return value


def text(name: str, value: Any) -> str:
    """A name or a path."""
    if not isinstance(value, str) or not value.strip():
        raise ParameterError(f"{name}={shown(value)}: give a name or a path, in quotes in a parameter cell")
    if any(unicodedata.category(one) in ("Cc", "Cs") for one in value):
        raise ParameterError(f"{name}={shown(value)}: a character in it cannot be printed: give a name or a path without it")
    return value


def file(name: str, value: Any, hub: Collection[str] = ()) -> str:
    """The name of a file that can be read. ``hub``: endings of files; what has none of them may name a data set of a hub or a folder."""
    text(name, value)
    try:
        path = Path(value).expanduser()
        if path.is_file() or (hub and path.is_dir()):
            return value
        if hub and not path.exists() and path.suffix.lower() not in hub and _HUB.fullmatch(value):
            return value
        reason = "no regular file" if path.exists() else "no such file"
    except (OSError, RuntimeError) as error:  # no access, a name too long, a circle of links, or the home of nobody
        reason = getattr(error, "strerror", None) or str(error)
    others = f" ({', '.join(hub)}), or give a data set of a hub" if hub else ""
    raise ParameterError(f"{name}={shown(value)}: {reason}: give a file that can be read{others}")


def switch(name: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise ParameterError(f"{name}={shown(value)}: give True or False")
    return value


def least(name: str, value: Any, lowest: float) -> float:
    """A finite number of at least ``lowest``."""
    if not _is_number(value) or not lowest <= value <= _LARGEST:
        raise ParameterError(f"{name}={shown(value)}: give a number of at least {lowest:g}")
    return value


def finite(name: str, value: Any) -> float:
    """A finite number, of either sign."""
    if not _is_number(value) or not -_LARGEST <= value <= _LARGEST:
        raise ParameterError(f"{name}={shown(value)}: give a finite number")
    return value


def kinds(name: str, values: Any, kind: type[_Kind]) -> Sequence[_Kind]:
    """A sequence of values of one kind: a text in the place of several would be read as its letters."""
    several = isinstance(values, Sequence) and not isinstance(values, str)
    if wrong := [one for one in (values if several else [values]) if not (several and isinstance(one, kind))]:
        raise ParameterError(f"{name}: {shown(wrong[0])} stands where {kind.__name__} is expected: give a list of them")
    return values


def parts(name: str, values: Sequence[_Item], size: Any) -> Iterator[Sequence[_Item]]:
    """The values, ``size`` at a time."""
    whole(name, size, least=1)
    return (values[start : start + size] for start in range(0, len(values), size))


def like(name: str, given: Mapping[str, Any], usual: Mapping[str, Any]) -> None:
    """Settings of the kinds that the usual ones have: a list where they have one, and numbers above 0."""
    for key, value in given.items():
        model, where = usual[key], f"{name}: {key}"
        if model == "all" and isinstance(value, list | tuple):  # or a list of those that are wanted
            model = [0]
        if isinstance(model, list | tuple) != isinstance(value, list | tuple) or (isinstance(value, list | tuple) and not value):
            kind = "a list" if isinstance(model, list | tuple) else "one value"
            raise ParameterError(f"{where}={shown(value)}: give {kind}, such as {model!r}")
        # Settings are whole numbers, other numbers, and names.
        other = model[0] if isinstance(model, list | tuple) else model
        for one in value if isinstance(value, list | tuple) else [value]:
            if isinstance(other, int):
                whole(where, one, least=0)
            elif isinstance(other, float):
                positive(where, one)
            else:
                text(where, one)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
