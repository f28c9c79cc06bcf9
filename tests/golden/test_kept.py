"""What is kept of a result, how two outcomes are compared, and when kept rows may be replaced."""

import math

import pytest
from mechlib.runs.result import Result

from mechlib.runs.spec import RunSpec
from tests.golden import versions
from tests.golden.bench import Bench
from tests.golden.cases import CASES
from tests.golden.kept import LOOSE, Kept, differences, kept, path_of, read, rounded, save, tolerance, worst
from tests.golden.write import write

NAME = "sports_text_to_damage"


def outcome(**rows):
    return Kept("case", "stage", {"stage": 1}, 3, rows, {}, {})


def far(one, other):
    """How far a column is from another, as everything is compared."""
    return differences(outcome(x=one), outcome(x=other))["rows: x"]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([2.0, -4.0], [2.0, -4.0], [0, 0]),
        # A share of the largest number of the column, however small that is.
        ([2e-9, -4e-9], [1e-9, -4e-9], [0.25, 0]),
        ([0.0], [0.5], [0.5]),
        ([math.nan, math.inf], [math.nan, math.inf], [0, 0]),
        ([1.0], [math.nan], [math.inf]),
        ([1.0, 2.0], [1.0], [math.inf, math.inf]),
        # What is no number, and whole numbers, are the same or not.
        ([3, True, "a", None], [4, True, "b", 0.0], [math.inf, 0, math.inf, math.inf]),
        ([True], [1], [math.inf]),
        ([LOOSE, 1.0], [True, 1.0], [0, 0]),
    ],
)  # fmt: skip
def test_how_far_two_columns_are(one, other, expected):
    assert far(one, other) == pytest.approx(expected)


def test_a_column_that_only_one_has_and_another_count_differ():
    assert worst(outcome(x=[1]), outcome(x=[1], y=[2])) == ("rows: y", math.inf)
    assert worst(outcome(x=[1], y=[2]), outcome(x=[1])) == ("rows: y", math.inf)
    fewer = Kept("case", "stage", {}, 2, {}, {}, {})
    assert worst(outcome(), fewer) == ("count", math.inf)


def test_a_thinned_result_keeps_ends_means_and_value():
    rows = [{"n": number, "x": float(-number), "pair": [number, 0.5]} for number in range(100)]
    found = kept("case", RunSpec("know", "a run", {}), Result(rows, {"scores": {"a": 1.0, "b": 2.0}, "deep": {"name": "c"}}))
    assert found.count == 100
    assert found.rows["n"] == [0, 9, 18, 27, 36, 45, 54, 63, 72, 81, 90, 99]
    assert found.rows["pair"][:4] == [0, 0.5, 9, 0.5]
    assert found.means == {"x": [49.5], "pair": [0.5]}
    assert found.value == {"/scores": ["a", "b", 1.0, 2.0], "/deep/name": ["c"]}


def test_kept_rows_are_read_as_they_were_written(tmp_path):
    found = Kept("case", "stage", {"stage": 1}, 3, {"x": [1 / 3, math.nan], "s": ["a", None]}, {}, {"": []})
    loose = rounded(found, {"rows: s": [1.0, 0.0]}, 0.5)
    save(loose, tmp_path)
    again = read("case", tmp_path)
    assert again.rows["x"][0] == 0.333333
    assert again.rows["s"] == [LOOSE, None]
    assert worst(again, loose)[1] == 0
    assert worst(again, found)[1] < tolerance("stage")


def test_rows_are_replaced_only_if_they_are_new_or_a_version_was_raised(tmp_path, monkeypatch):
    bench, rows, said = Bench(tmp_path / "bench"), tmp_path / "rows", []
    rows.mkdir()

    def again(name=NAME):
        said.clear()
        return write(bench, bench, said.append, {name: CASES[name]}, rows), [line.split(":")[0] for line in said]

    assert again() == (True, ["written"])
    assert again() == (True, [])
    path = path_of(NAME, rows)
    right = path.read_text()
    path.write_text(right.replace('"count": ', '"count": 1'))
    tampered = path.read_text()
    assert again() == (False, ["refused"])
    assert path.read_text() == tampered != right
    monkeypatch.setattr(versions, "declared", lambda _spec: 2)
    assert again() == (True, ["written"])
    assert path.read_text() == right.replace('"text": 1', '"text": 2')
    assert again("sports_localize_mlps_0_to_1") == (True, ["written", "removed"])
