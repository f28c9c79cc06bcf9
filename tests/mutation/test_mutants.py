"""Mutants are the faults they say they are; those held to be equivalent are still there, and the file's tests are named."""

import tomllib
from pathlib import Path

import pytest

from tests.mutation.covering import COVERING
from tests.mutation.mutants import mutants

ROOT = Path(__file__).parents[2]
LISTED = tomllib.loads(Path(__file__).with_name("equivalent.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("statement", "faulty"), [
    ("a < b", {"a <= b", "a >= b"}),
    ("a == b", {"a != b"}),
    ("a + 1", {"a - 1", "a + 2", "a + 0"}),
    ("not a", {"a"}),
    ("a and b", {"a or b"}),
    ("min(a)", {"max(a)"}),
    ("a[b:c]", {"a[:c]", "a[b:]"}),
    ("f(a=b, encoding=c)", {"f(encoding=c)"}),
    ("a if b else c", {"a if not b else c"}),
    ("[a for a in b if c]", {"[a for a in b]"}),
    ("0.5", {"1.0", "0.25"}),
    ("True", {"False"}),
    ("'text'", set()),
    ("f'{a + b}'", set()),
])  # fmt: skip
def test_the_faults_of_an_expression(statement, faulty):
    found = list(mutants(f"x = {statement}"))
    assert {mutant.change for mutant in found} == {f"x = {statement}  =>  x = {other}" for other in faulty}
    assert {mutant.source for mutant in found} == {f"x = {other}" for other in faulty}


def test_statements_fall_away_and_functions_return_nothing():
    source = 'def f(a: int = 1) -> None:\n    """About it: 3."""\n    g(a)\n    return a\n'
    found = [(mutant.line, mutant.change, mutant.in_function) for mutant in mutants(source)]
    header = "def f(a: int=1) -> None:  =>  def f(a: int={}) -> None:"
    assert sorted(found) == [
        (1, header.format(0), False), (1, header.format(2), False), (3, "g(a)  =>  pass", True), (4, "return a  =>  return None", True),
    ]  # fmt: skip


@pytest.mark.parametrize("file", COVERING)
def test_what_is_listed_is_there(file):
    changes = {mutant.change for mutant in mutants((ROOT / file).read_text(encoding="utf-8"))}
    assert [one["change"] for one in LISTED.get(file, []) if one["change"] not in changes or not one["why"]] == []
    assert [tests for tests in COVERING[file] if not (ROOT / tests).is_file()] == []


def test_nothing_is_listed_of_other_files():
    assert set(LISTED) <= set(COVERING)
