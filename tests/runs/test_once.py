"""What a frozen value was asked once it does not work out again, and takes to no other process."""

import pickle
from dataclasses import dataclass, replace

import pytest

from mechlib.runs.once import once
from mechlib.runs.study import Study

ASKED = []


@dataclass(frozen=True)
class Sums:
    start: int

    @once
    def plus(self, number, times=1):
        """A sum."""
        ASKED.append((self.start, number, times))
        return [self.start + times * number]

    @once
    def less(self, number):
        ASKED.append((self.start, -number, 1))
        return [self.start - number]


@pytest.fixture(autouse=True)
def nothing_asked():
    ASKED.clear()


def test_the_same_question_is_worked_out_once_and_others_for_themselves():
    one = Sums(1)
    assert one.plus(2) is one.plus(2) and one.plus(2, times=3) is one.plus(2, times=3)
    assert (one.plus(2), one.plus(2, times=3), one.plus(3), one.less(2), Sums(5).plus(2)) == ([3], [7], [4], [-1], [7])
    assert ASKED == [(1, 2, 1), (1, 2, 3), (1, 3, 1), (1, -2, 1), (5, 2, 1)]


def test_a_changed_value_is_asked_anew():
    one = Sums(1)
    assert one.plus(2) == [3] and replace(one, start=2).plus(2) == [4]


def test_what_was_worked_out_is_no_part_of_the_value_and_is_not_sent_with_it():
    one = Sums(1)
    one.plus(2)
    sent = pickle.loads(pickle.dumps(one))
    assert one == sent == Sums(1) and hash(one) == hash(Sums(1)) and pickle.dumps(one) == pickle.dumps(sent)
    assert sent.plus(2) == [3] and len(ASKED) == 2


def test_the_method_keeps_its_name_and_what_it_says():
    assert (Sums.plus.__name__, Sums.plus.__doc__) == ("plus", "A sum.")


def test_runs_of_a_study_that_start_from_one_edit_share_it(monkeypatch):
    monkeypatch.setattr("mechlib.runs.specs.localizing.fingerprint", lambda spec: spec.name)
    study = Study()
    first, other = (study.answers("random", 0, 0, form).inputs["edit"] for form in ("one_shot", "question"))
    assert first is other is study.edit("random", 0, 0) and study.runs("edit") is study.runs("edit")
