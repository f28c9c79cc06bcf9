"""The gates of every arm, against hand-made evidence."""

from dataclasses import replace

import pytest
from test_verdicts import ODDS, evidence

from mechlib.report.gate_table import gate_table
from mechlib.report.gates import Kept, kept_by_attack


def test_one_line_an_arm_in_the_order_of_the_rows():
    study = evidence()
    table = gate_table(study, 0.5)
    assert list(table.localization) == ["Fact lookup", *(name for name in table.localization if name != "Fact lookup")]
    assert len(table) == len(study.arms) == len(ODDS) - 1
    assert table.overlap[0] == "-" and all(0 <= float(value) <= 1 for value in table.overlap[1:])


def test_the_floor_is_of_facts_that_were_edited_and_never_known():
    study = evidence()
    assert set(gate_table(study, 0.5).floor) == {"-"}
    never = [{**row, "group": "floor", "correct": True} for row in study.relearning if row["group"] == "forget"]
    floors = gate_table(replace(study, relearning=[*study.relearning, *never]), 0.5).floor
    assert all(value.startswith("1.00") or value.startswith("100") for value in floors)


def test_without_an_attack_its_gates_are_left_open():
    table = gate_table(evidence(relearning=False), 0.5)
    assert set(table["taught half"]) == set(table["kept by the attack"]) == set(table.floor) == {"-"}


@pytest.mark.parametrize(("success", "done"), [(1e-9, True), (1 - 1e-9, False)])
def test_edited_counts_the_sets_that_got_there(success, done):
    for line in gate_table(evidence(), success).edited:
        count, of = line.split(" of ")
        assert (count == of) is done if done else count != of


def test_a_kept_share_has_an_interval_where_sets_are_enough_and_never_below_zero():
    """Two sets keep .875 and 1: over two sets an interval would be [.14, 1.73]; the gates still decide by it."""
    few, enough, wide = Kept(0.9375, 0.14, 1.73, n_sets=2), Kept(0.9375, 0.5, 1.2, n_sets=6), Kept(0.5, -0.1, 1.1, n_sets=6)
    assert (str(few), str(enough), str(wide)) == ("0.94", "0.94 [0.50, 1.20]", "0.50 [0.00, 1.10]")
    study = evidence(n_sets=2, kept={"random_mlps": 0.5})
    (line,) = [one for one in gate_table(study, 0.5).to_dict("records") if one["localization"] == "Random MLPs"]
    assert line["kept by the attack"] == "0.50" and kept_by_attack(study, "random_mlps", study.last).high == pytest.approx(0.5)
    assert "[" in gate_table(evidence(n_sets=6), 0.5)["kept by the edit"][0]
