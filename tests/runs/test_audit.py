"""Which kept runs are computed again, and what is found to differ."""

import math
from collections import Counter
from dataclasses import replace

import pytest

from mechlib.runs.audit import compare, sample, summary
from mechlib.runs.study import Study

ROWS = [
    {"subject": "A", "probability": 0.25, "divergence": 3.0, "rank": 5, "correct": True, "target": None},
    {"subject": "B", "probability": 0.25, "divergence": 3.0, "rank": 5, "correct": False, "target": None},
]


@pytest.fixture(autouse=True)
def named_models(monkeypatch):
    """A model's fingerprint is its name, so that no weights are looked for."""
    monkeypatch.setattr("mechlib.runs.specs.localizing.fingerprint", lambda spec: spec.name)


@pytest.fixture
def kept():
    """The runs about all edits of a study, and what is asked of the unedited model."""
    study = Study(profile="full", forget_sets=4, seeds=1, localizations=("fact_lookup", "random"))
    return [spec for need in ("edit", "prompting", "damage", "relearning") for _, spec in study.runs(need)]


@pytest.mark.parametrize("number", [1, 9, 40])
def test_a_sample_is_so_many_kept_runs_each_once(kept, number):
    found = [spec.id for spec in sample(kept, number, seed=0)]
    assert len(set(found)) == len(found) == number
    assert set(found) <= {spec.id for spec in kept}


def test_a_sample_is_of_every_stage_and_at_most_two_of_an_edit(kept):
    found = sample(kept, 40, seed=3)
    assert {spec.stage.name for spec in found} == {spec.stage.name for spec in kept}
    others = [spec for spec in found if spec.stage.name != "edit"]
    taken = Counter((spec.stage.name, spec.inputs["edit"].id if "edit" in spec.inputs else "") for spec in others)
    assert max(taken.values()) == 2


def test_runs_of_one_edit_stand_together_and_follow_it(kept):
    found = [spec if spec.stage.name == "edit" else spec.inputs.get("edit") for spec in sample(kept, 30, seed=1)]
    names = [edit.id if edit else "" for edit in found]
    changes = 1 + sum(one != other for one, other in zip(names, names[1:], strict=False))
    assert changes == len(set(names))


def test_a_seed_names_one_sample_whatever_the_order_of_the_runs(kept):
    first = [spec.id for spec in sample(kept, 12, seed=5)]
    assert first == [spec.id for spec in sample(reversed([*kept, *kept[:7]]), 12, seed=5)]
    assert first != [spec.id for spec in sample(kept, 12, seed=6)]


def test_everything_is_taken_where_less_is_kept_than_wanted():
    spec = Study().damage("random", 0, 0)
    assert sample([spec], 50, seed=0) == [spec]
    assert sample([], 50, seed=0) == []


def altered(**changed):
    return [ROWS[0], {**ROWS[1], **changed}]


def test_equal_rows_differ_in_nothing():
    found = compare(Study().damage("random", 0, 0), ROWS, [dict(row) for row in ROWS])
    assert (found.stage, found.rows, found.largest, found.mean, found.answers, found.shape) == ("damage", 2, 0.0, 0.0, 0.0, False)


@pytest.mark.parametrize(("again", "largest", "where", "mean", "answers"), [
    # Four numbers: two probabilities and two divergences. Ranks follow from others.
    (altered(probability=0.2501), 0.0001, "probability", 0.0001 / 4, 0.0),
    (altered(divergence=7.0), 4.0, "divergence", 1.0, 0.0),
    (altered(rank=7), 0.0, None, 0.0, 0.0),
    (altered(correct=True), 0.0, None, 0.0, 0.5),
    (altered(probability=math.nan), 0.0, None, 0.0, 0.0),
])  # fmt: skip
def test_an_altered_digit_and_a_flipped_answer_are_found(again, largest, where, mean, answers):
    found = compare(Study().damage("random", 0, 0), ROWS, again)
    assert (found.largest, found.mean, found.answers) == (pytest.approx(largest), pytest.approx(mean), answers)
    assert where in (None, found.where)
    assert not found.shape


@pytest.mark.parametrize("again", [ROWS[:1], [*ROWS, ROWS[0]], []])
def test_another_number_of_rows_is_found(again):
    assert compare(Study().damage("random", 0, 0), ROWS, again).shape


def test_rows_without_answers_have_no_share_of_them():
    numbers = [{"step": 0, "loss": 2.0}]
    assert compare(Study().edit("random", 0, 0), numbers, [{"step": 0, "loss": 1.5}]).answers is None


def test_a_summary_is_one_line_a_stage():
    one = compare(Study().damage("random", 0, 0), ROWS, altered(probability=0.75))
    other = replace(one, rows=6, largest=0.1, mean=0.0, answers=1.0, shape=True)
    edit = compare(Study().edit("random", 0, 0), [{"forget": 2.0}], [{"forget": 1.5}])
    lines = {line["stage"]: line for line in summary([one, other, edit])}
    assert list(lines) == ["damage", "edit"]
    found = lines["damage"]
    assert (found["runs"], found["rows"], found["largest difference"], found["of"]) == (2, 8, 0.5, "probability")
    assert found["mean difference"] == pytest.approx(0.5 / 4 / 2)
    # None of two answers and all of six.
    assert (found["answers changed"], found["other number of rows"]) == (0.75, 1)
    assert (lines["edit"]["answers changed"], lines["edit"]["largest difference"]) == (None, 0.5)


def test_no_stage_is_left_out_of_a_sample():
    study = Study(localizations=("random", "all_mlps"), forget_sets=2, steps=2)
    arms = [(key, number, 0) for key in study.localizations for number in (0, 1)]
    kept = [study.known, *(study.answers(None, number, 0, "one_shot") for number in (0, 1)), *(study.edit(*arm) for arm in arms),
            *(study.answers(*arm, "one_shot") for arm in arms), *(study.damage(*arm) for arm in arms),
            *(study.attack("relearning", *arm, 0) for arm in arms)]  # fmt: skip
    for seed in range(5):
        chosen = sample(kept, 8, seed)
        assert {spec.stage.name for spec in chosen} == {"known", "answers", "edit", "damage", "attack"} and len(chosen) == 8
        assert any(spec.stage.name == "answers" and "edit" not in spec.inputs for spec in chosen)
