"""The table of functions in the book: each exists, takes what the table names, and the rooms come in a fact's order."""

import inspect
import re
from operator import attrgetter
from pathlib import Path
from pkgutil import resolve_name

import pytest

import mechlib

PAGE = (Path(mechlib.__file__).parents[1] / "book" / "library.md").read_text()
LISTED = re.findall(r"^\| `(mechlib\.[\w.]+)\((.*)\)` \|", PAGE, re.MULTILINE)
ROOMS = ["facts", "models", "patching", "localize", "edit", "evals", "attacks", "stats", "report"]


def found(path):
    """The function that a dotted path names, from a module or a class."""
    module, _, name = path.rpartition(".")
    return attrgetter(name)(resolve_name(module))


def test_every_line_of_the_table_is_read():
    assert len(LISTED) == sum(line.startswith("| `") for line in PAGE.splitlines())


@pytest.mark.parametrize(("path", "arguments"), LISTED)
def test_a_listed_function_exists_and_takes_what_is_named(path, arguments):
    function, named = found(path), [name for name in arguments.split(", ") if name]
    assert function.__doc__
    taken = [name for name in inspect.signature(function).parameters if name != "self"]
    assert named == [name for name in taken if name in named]


def test_rooms_come_in_a_facts_order():
    order = list(dict.fromkeys(path.split(".")[1] for path, _ in LISTED))
    assert order == ROOMS
