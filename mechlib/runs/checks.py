"""Checks of parameter values: each returns the value or raises one line that says what would do."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

# All that reading a literal can raise: ``{[1]: 2}`` is a TypeError, and what is nested too deeply ends in the last two.
NO_LITERAL = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)


class ParameterError(ValueError):
    """A parameter with a value that cannot be used; the message names the ones that can."""


def choice(name: str, value: Any, known: Collection[str]) -> str:
    """One of the known names."""
    if not isinstance(value, str) or value not in known:
        raise ParameterError(f"{name}={value!r} is unknown: choose {', '.join(known)}")
    return value


def choices(name: str, value: Any, known: Collection[str]) -> tuple[str, ...]:
    """One or several of the known names."""
    values = (value,) if isinstance(value, str) else value
    if not isinstance(values, list | tuple) or not values:
        raise ParameterError(f"{name}={value!r}: choose one or more of {', '.join(known)}")
    return tuple(dict.fromkeys(choice(name, one, known) for one in values))


def whole(name: str, value: Any, least: int) -> int:
    """A whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ParameterError(f"{name}={value!r}: give a whole number of at least {least}")
    return value


def positive(name: str, value: Any) -> float:
    """A finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ParameterError(f"{name}={value!r}: give a number above 0")
    return value


def probability(name: str, value: Any) -> float:
    """A number from 0 to below 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ParameterError(f"{name}={value!r}: give a probability from 0 to below 1")
    return value


def text(name: str, value: Any) -> str:
    """A name or a path."""
    if not isinstance(value, str) or not value:
        raise ParameterError(f"{name}={value!r}: give a name or a path, in quotes in a parameter cell")
    return value


def switch(name: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise ParameterError(f"{name}={value!r}: give True or False")
    return value


def least(name: str, value: Any, lowest: float) -> float:
    """A finite number of at least ``lowest``."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value < math.inf:
        raise ParameterError(f"{name}={value!r}: give a number of at least {lowest:g}")
    return value
