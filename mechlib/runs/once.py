"""What a frozen value is asked again and again, such as a study for its edits: by its methods, or by functions that take it first."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

S = TypeVar("S")
P = ParamSpec("P")
R = TypeVar("R")


class _Given(dict[Any, Any]):
    """What methods gave. It stays in its process: whoever is sent the value asks again."""

    def __reduce__(self) -> tuple[type[_Given], tuple[()]]:
        return _Given, ()


def once(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """What a method gave is given again, and kept with its object: for what reads nothing but the object and what it is given."""

    @wraps(method)
    def asked(self: S, *args: P.args, **named: P.kwargs) -> R:
        given: _Given = vars(self).setdefault("_given", _Given())
        question = (method.__module__, method.__qualname__, args, *sorted(named.items()))
        try:
            hash(question)
        except TypeError:  # no question that the method could answer: it says so
            return method(self, *args, **named)
        if question not in given:
            given[question] = method(self, *args, **named)
        return given[question]

    return asked
