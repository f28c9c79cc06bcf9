"""Differences are described: intervals and a p of each line, no family, no verdict."""

import pandas as pd
from attack_rows import HARD, SOFT, answers, attacked, row

from mechlib.report import differences
from mechlib.stats import ENOUGH_SETS


def study(sets, broken=False):
    """Fact lookup gets less back than random MLPs in every set, and as much as all MLPs."""
    rows = attacked("unedited", {"forget": 1.0, "maintain": 1.0}, n_sets=sets)
    for key, share in (("fact_lookup", 0.2), ("random_mlps", 0.7), ("all_mlps", 0.2)):
        rows += attacked(key, {"forget": share, "maintain": 0.5 if broken and key == "all_mlps" else 1.0}, n_sets=sets)
    return rows


def described(rows, settings):
    return differences.from_lookup(rows, differences.after_attack(rows, settings))


def test_a_difference_has_its_interval_and_a_p_of_its_own():
    """Eight sets that all agree: p is 2 / 2^8, whatever stands beside."""
    table = described(study(8), [HARD])
    assert table.columns.tolist() == ["Fact lookup minus", "difference", "forget sets", "least p", "p"]
    assert table["Fact lookup minus"].tolist() == ["Random MLPs", "All MLPs"]
    assert table.p.tolist() == ["0.008", "1.000"]
    assert table.difference[0].startswith("-0.50 [")


def test_below_enough_sets_there_is_no_p():
    assert described(study(ENOUGH_SETS - 1), [HARD]).p.tolist() == ["none"] * 2


def test_what_the_attack_broke_is_said():
    table = described(study(8, broken=True), [HARD])
    assert table["broken by the attack"].tolist() == ["", "All MLPs"]


def test_where_the_attack_broke_the_unedited_model_it_is_said_in_each_line():
    where = ("unedited", "maintain", HARD[0])
    rows = [{**one, "correct": one["correct"] and (one["localization"], one["group"], one["setting"]) != where} for one in study(8)]
    assert described(rows, [HARD])["broken by the attack"].tolist() == ["Unedited"] * 2


def test_several_settings_are_named():
    rows = [*study(8), *(one for key in ("fact_lookup", "random_mlps", "all_mlps")
                         for one in answers(key, SOFT, {"forget": 0.1, "maintain": 1.0}, n_sets=8))]  # fmt: skip
    assert described(rows, [HARD, SOFT]).asked.tolist() == ["LoRA 8, 1e-3, 10 steps"] * 2 + ["LoRA 8, 1e-4, 10 steps"] * 2


def test_formats_count_alike():
    """Fact lookup lets the old answer through in one format of two, random MLPs in both, in all of seven sets."""
    rows = [row(key, "forget", number, key != "fact_lookup" or form == "cloze", forget_set=forget_set, format=form)
            for key in ("unedited", "fact_lookup", "random_mlps") for form in ("cloze", "question", "one_shot")
            for forget_set in range(7) for number in range(4)]  # fmt: skip
    assert differences.from_lookup(rows, differences.in_formats(rows, ["cloze", "question"])).to_dict("records") == [
        {"Fact lookup minus": "Random MLPs", "difference": "-0.50 [-0.50, -0.50]", "forget sets": 7, "least p": "0.016", "p": "0.016"}
    ]
    assert differences.in_formats(rows, []) == []


def test_one_localization_has_nobody_to_be_compared_with():
    table = described([*attacked("unedited", {"forget": 1.0}), *attacked("random_mlps", {"forget": 1.0})], [HARD])
    assert isinstance(table, pd.DataFrame)
    assert table.empty
    assert table.columns[0] == "Random MLPs minus"
