"""How numbers become text, the same in the whole book.

Measures, and shares among them, have two decimals in tables (``0.96 [0.91, 0.99]``), and more only where two would say nothing; shares
within sentences are percentages, with a space that no line breaks at (``90 %``), and so are shares of the weights, as in the paper.
Counts have thousands separators, learning rates are ``2.9e-5``, and zero has no sign.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any

# Between a number and its sign.
NO_BREAK = "\u00a0"
# Zero, and what was rounded to it from below.
_SIGNED_ZERO = re.compile(r"^-(?=[0.,]+(?:e[+-]?\d+)?%?$)")
_BROKEN = re.compile(r"(?<=\d)[ \n]%(?![\w%])")
# From here on a small number is written as a decimal.
_PLAIN = 0.01


def told(value: Any, form: str = ".2f") -> str:
    """A number in a format of Python's: no zero has a sign, and no percent sign stands close to its number."""
    text = _SIGNED_ZERO.sub("", format(value, form))
    return text.removesuffix("%") + NO_BREAK + "%" if text.endswith("%") else text


def percent(share: float, digits: int = 0) -> str:
    """A share within a sentence: ``90 %``."""
    return told(share, f".{digits}%")


def decimal(value: float, digits: int = 2) -> str:
    """A measure: ``0.96``."""
    return told(value, f",.{digits}f")


def measures(values: Sequence[float]) -> list[str]:
    """Numbers of one kind, of whatever size: counts if all are whole, else two decimals, and ``1.2e-3`` where these would say nothing."""
    if all(float(value).is_integer() for value in values):
        return [told(value, ",.0f") for value in values]
    return [decimal(value) if value == 0 or abs(value) >= _PLAIN else rate(value, 2) for value in values]


def rate(value: float, digits: int = 6) -> str:
    """A learning rate, with so many significant digits at most: ``1e-4``, ``2.9e-5``; from a hundredth on ``0.05``."""
    if value == 0 or abs(value) >= _PLAIN:
        return told(value, f".{digits}g")
    number, _, power = f"{value:.{digits - 1}e}".partition("e")
    return f"{float(number):g}e{int(power)}"


def plain(value: Any) -> str:
    """A setting: what may be a learning rate as one, anything else as it is."""
    return rate(value) if isinstance(value, float) else str(value)


def count(number: int) -> str:
    """``1,151``."""
    return f"{number:,}"


def cell(value: Any) -> str:
    """What stands in a table's cell without a format of its own: a count, a measure, or text."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return str(value)
    return count(int(value)) if isinstance(value, Integral) else decimal(float(value))


def column(form: str | Callable[[Any], str]) -> Callable[[Any], str]:
    """The cells of a column with a format: text with a field for the number, such as ``{:.3f}``, or a function of the number."""
    if callable(form):
        return form
    opened, closed = form.index("{"), form.index("}")
    inside = form[opened + 1 : closed].removeprefix(":")
    return lambda value: form[:opened] + told(value, inside) + form[closed + 1 :]


def unbroken(text: str) -> str:
    """Text in which no line breaks between a number and its percent sign."""
    return _BROKEN.sub(f"{NO_BREAK}%", text)
