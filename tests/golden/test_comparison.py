"""What is kept of a result, how two outcomes are compared, and when kept rows may be replaced."""

import json
import math

import pytest

from mechlib.runs.spec import RunSpec
from mechlib.runs.stages import KNOWN
from mechlib.runs.work import Result
from tests.golden import measure, versions
from tests.golden.bench import Bench
from tests.golden.cases import CASES
from tests.golden.kept import FLOOR, LOOSE, Kept, beyond, differences, kept, path_of, read, rounded, save, tolerance, worst
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


def test_what_one_column_differs_by_hides_no_other_where_columns_were_measured(tmp_path, monkeypatch):
    """Two cases of a stage were measured by column, of another stage one was not."""
    measured = {"stages": {"stage": {"case": 3e-5, "other": 2e-4}, "rest": {"old": 3e-5, "new": 2e-4}},
                "columns": {"case": {"rows: x": 3e-5}, "other": {"rows: y": 2e-4}, "new": {"rows: y": 2e-4}}}  # fmt: skip
    monkeypatch.setattr("tests.golden.kept.SPREAD", tmp_path / "spread.json")
    (tmp_path / "spread.json").write_text(json.dumps(measured))
    assert [tolerance("case", f"rows: {name}") for name in "xyz"] == pytest.approx([3e-4, 2e-3, FLOOR])
    assert tolerance("old", "rows: x") == tolerance("new", "rows: z") == pytest.approx(2e-3)
    assert tolerance("of no stage", "rows: x") == FLOOR
    one = outcome(x=[1.0], y=[1.0], z=[1.0])
    assert beyond(one, outcome(x=[1.0002], y=[1.001], z=[1.0])) is None
    assert beyond(one, outcome(x=[1.0004], y=[1.001], z=[1.00002])) == ("rows: x", pytest.approx(4e-4), pytest.approx(3e-4))


def test_the_spread_of_some_cases_stands_beside_what_others_had():
    before = {"environments": {"here": {}}, "stages": {"a": {"one": 1.0, "two": 2.0}}, "columns": {"one": {"x": 1.0}},
              "turned": {"one": 3, "two": 4}, "bfloat16": {"one": [1.0, 0]}}  # fmt: skip
    found = {"environments": {}, "stages": {"a": {"one": 5.0}, "b": {"new": 6.0}}, "columns": {"one": {}, "new": {"y": 6.0}}, "turned": {},
             "bfloat16": {"new": [7.0, 0]}}  # fmt: skip
    assert measure.beside(before, found) == {
        "environments": {"here": {}}, "stages": {"a": {"one": 5.0, "two": 2.0}, "b": {"new": 6.0}},
        "columns": {"one": {}, "new": {"y": 6.0}}, "turned": {"two": 4}, "bfloat16": {"new": [7.0, 0]},
    }  # fmt: skip


def test_a_thinned_result_keeps_ends_means_and_value():
    rows = [{"n": number, "x": float(-number), "pair": [number, 0.5]} for number in range(100)]
    found = kept("case", RunSpec(KNOWN, "a run", {}), Result(rows, {"scores": {"a": 1.0, "b": 2.0}, "deep": {"name": "c"}}))
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
    assert worst(again, found)[1] < FLOOR


@pytest.fixture
def again(tmp_path):
    """Writes one case again into a folder of its own; gives whether nothing was refused, and what was done."""
    bench, rows = Bench(tmp_path / "bench"), tmp_path / "rows"
    rows.mkdir()

    def again(name=NAME):
        said = []
        return write(bench, bench, said.append, {name: CASES[name]}, rows), [line.split(":")[0] for line in said]

    return again


def test_rows_that_changed_are_replaced_only_if_a_version_was_raised(again, tmp_path, monkeypatch):
    path = path_of(NAME, tmp_path / "rows")
    assert again() == (True, ["written"])
    assert again() == (True, [])
    right = path.read_text()
    path.write_text(right.replace('"count": ', '"count": 1'))
    tampered = path.read_text()
    assert again() == (False, ["refused"])
    # A new name is no higher version.
    monkeypatch.setattr(versions, "declared", lambda _spec: {"prose": 1})
    assert again() == (False, ["refused"])
    assert path.read_text() == tampered != right
    monkeypatch.undo()
    monkeypatch.setattr(versions, "declared", lambda spec: dict.fromkeys(spec.versions, 2))
    assert again() == (True, ["written"])
    assert path.read_text() == right.replace('"texts": 1', '"texts": 2')


def test_rows_that_hold_are_not_written_again(again, tmp_path, monkeypatch):
    path = path_of(NAME, tmp_path / "rows")
    again()
    kept_so = path.read_text()
    monkeypatch.setattr(versions, "declared", lambda spec: dict.fromkeys(spec.versions, 2))
    assert again() == (True, ["relabelled"])
    assert path.read_text() == kept_so.replace('"texts": 1', '"texts": 2')
    assert again("sports_localize_mlps_0_to_1") == (True, ["written", "removed"])
    assert not path.exists()
