"""What attacks brought back, from rows by hand: shares, voids, nulls, the strongest attack, what was taught."""

import math
import subprocess
import sys

import pytest
from attack_rows import BEFORE, HARD, SOFT, STUDY, answers, attacked, line, row
from hypothesis import given
from hypothesis import strategies as st

from mechlib.report import robustness
from mechlib.report.published import (
    RELEARNING_SETTING,
    about,
    about_relearning,
    nearest,
    published,
    published_relearning,
    void_relearning,
)
from mechlib.runs.stages import attack as attacking
from mechlib.stats import leak_at_k, wilson


def test_what_comes_before_an_attack_is_called_the_same_by_those_who_attack():
    assert robustness.BEFORE == attacking.BEFORE


def test_a_page_may_import_this_first():
    """Before the stages, which import one another's helpers in an order of their own."""
    subprocess.run([sys.executable, "-c", "import mechlib.report.verdicts, mechlib.report.page"], check=True)


def test_outcomes_are_shares_of_each_group_with_what_they_were_before():
    table = robustness.outcomes(STUDY)
    assert list(zip(table.localization, table.setting, table.step, strict=True)) == [
        (key, *at) for key in ("unedited", "fact_lookup", "random_mlps") for at in (BEFORE, HARD, SOFT)
    ]
    found = line(table, "fact_lookup", HARD)
    assert {name: found[name] for name in ("attack", "null", "forget", "edited", "maintain", "unknown", "before", "before_maintain")} == {
        "attack": "relearning", "null": "", "forget": 0.5, "edited": 0.5, "maintain": 0.9, "unknown": 0.3, "before": 0.1,
        "before_maintain": 1.0,
    }  # fmt: skip
    assert math.isnan(found["relearned"])
    assert (found["n_sets"], found["n_facts"]) == (1, 10)
    interval = wilson(5, 10)
    assert (found["low"], found["high"]) == pytest.approx((interval.low, interval.high))


def test_a_model_that_keeps_nine_tenths_is_whole_and_one_that_keeps_less_is_void():
    table = robustness.outcomes(STUDY)
    assert [line(table, key, HARD)["void"] for key in ("unedited", "fact_lookup", "random_mlps")] == [False, False, True]
    # Against what the edit left, not against perfection.
    weak = attacked("given", {"forget": 0.5, "maintain": 0.5}, before={"forget": 0.0, "maintain": 0.5})
    assert not line(robustness.outcomes(weak), "given", HARD)["void"]


def test_sets_count_equally_and_a_fact_once_whatever_its_seeds():
    """Set 0: one fact, right in one of two seeds. Set 1: three facts, none right. So a quarter, of four facts."""
    rows = [row("given", "forget", 0, right, seed=seed) for seed, right in enumerate((True, False))]
    rows += [row("given", "forget", number, False, forget_set=1, seed=seed) for number in range(3) for seed in range(2)]
    found = line(robustness.outcomes(rows), "given", BEFORE)
    assert (found["forget"], found["n_sets"], found["n_facts"]) == (0.25, 2, 4)


def test_nulls_are_lines_of_their_own():
    nulls = answers("fact_lookup", HARD, {"forget": 0.2, "maintain": 1.0}, null="permuted answers")
    table = robustness.outcomes([*STUDY, *nulls])
    assert dict(zip(table.null, table.forget, strict=True))["permuted answers"] == 0.2
    assert len(table) == 10
    assert robustness.outcomes_of_attack([*STUDY, *nulls], *HARD).null.tolist() == ["", "", ""]


def test_values_of_a_set_come_in_the_order_of_subjects():
    rows = [row("given", "forget", number, number == 2, HARD, forget_set) for forget_set in (1, 0) for number in (2, 0, 1)]
    assert robustness.arm_values(rows, "given", *HARD) == {0: [0.0, 0.0, 1.0], 1: [0.0, 0.0, 1.0]}
    assert robustness.arm_values(rows, "given", *HARD, outcome="edited") == {0: [1.0, 1.0, 0.0], 1: [1.0, 1.0, 0.0]}
    assert robustness.arm_values(rows, "given", *SOFT) == robustness.arm_values(rows, "given", *HARD, group="maintain") == {}


def test_values_leave_nulls_out():
    rows = [row("given", "forget", 0, True, HARD), row("given", "forget", 0, False, HARD, null="permuted answers")]
    assert robustness.arm_values(rows, "given", *HARD) == {0: [1.0]}


@given(st.permutations(range(40)))
def test_the_order_of_answers_changes_nothing(order):
    rows = answers("given", BEFORE, {"forget": 0.3, "maintain": 0.8}, n_sets=2)
    shuffled = [rows[place] for place in order]
    assert robustness.arm_values(shuffled, "given", *BEFORE) == robustness.arm_values(rows, "given", *BEFORE)
    found, expected = (line(robustness.outcomes(some), "given", BEFORE) for some in (shuffled, rows))
    assert found == pytest.approx(expected, nan_ok=True)


def test_recovery_is_measured_between_never_known_facts_and_the_unedited_model():
    """Attacked .3, never known .2, unedited .9: a seventh."""
    table = robustness.recoveries(STUDY, *SOFT).set_index("localization")
    assert table.recovery["fact_lookup"].estimate == pytest.approx(1 / 7)
    assert table.recovery["random_mlps"].estimate == pytest.approx(4 / 7)
    assert table.recovery["unedited"] is None


def test_there_is_no_recovery_of_a_broken_model_or_against_one():
    table = robustness.recoveries(STUDY, *HARD).set_index("localization")
    assert table.recovery["random_mlps"] is None
    assert table.recovery["fact_lookup"].estimate == pytest.approx(2 / 6)
    broken = [one for one in STUDY if one["localization"] != "unedited"]
    broken += attacked("unedited", {"forget": 0.9, "maintain": 0.5, "unknown": 0.4}, before={"forget": 1.0, "maintain": 1.0})
    assert robustness.recoveries(broken, *HARD).recovery.tolist() == [None] * 3


@pytest.mark.parametrize("unknown", [{}, {"unknown": 0.8}])
def test_there_is_no_recovery_where_nothing_was_unknown_or_the_attack_teaches_it_all(unknown):
    rows = [one for key in ("unedited", "given") for one in attacked(key, {"forget": 0.9, "maintain": 1.0, **unknown})]
    assert robustness.recoveries(rows, *HARD).recovery.tolist() == [None, None]


def test_readers_see_what_is_void_undefined_or_a_reference():
    table = robustness.recovery_table(robustness.recoveries(STUDY, *HARD))
    assert table["normalised recovery"].tolist()[0::2] == ["reference", "void"]
    assert table["normalised recovery"][1].startswith("0.33 [")
    assert table["true after"].tolist() == ["0.90 [0.60, 0.98]", "0.50 [0.24, 0.76]", "void"]
    assert table["maintain"].tolist() == ["1.00 to 1.00", "1.00 to 0.90", "1.00 to 0.80"]
    assert table.localization.tolist() == ["Unedited", "Fact lookup", "Random MLPs"]
    worse = [*attacked("unedited", {"forget": 0.9, "maintain": 0.5}), *attacked("given", {"forget": 0.9, "maintain": 1.0})]
    assert robustness.recovery_table(robustness.recoveries(worse, *HARD))["normalised recovery"].tolist() == ["void", "undefined"]
    bare = [one for key in ("unedited", "given") for one in attacked(key, {"forget": 0.9, "maintain": 1.0})]
    last = robustness.recovery_table(robustness.recoveries(bare, *HARD)).iloc[1]
    assert (last["never known, after"], last["normalised recovery"]) == ("none", "undefined")


def test_edits_are_compared_where_the_fewest_models_break():
    table = robustness.outcomes(STUDY)
    assert robustness.shared_setting(table) == SOFT
    whole = [one for one in STUDY if one["localization"] != "random_mlps"]
    assert robustness.shared_setting(robustness.outcomes(whole)) == HARD
    with pytest.raises(ValueError, match="no attack was tried"):
        robustness.shared_setting(table[table.setting == "none"])


def test_the_strongest_attack_breaks_nothing():
    table = robustness.strongest(robustness.outcomes(STUDY)).set_index("localization")
    assert table.strongest.to_dict() == {
        "unedited": "before the attack", "fact_lookup": "LoRA 8, 1e-3, 10 steps", "random_mlps": "LoRA 8, 1e-4, 10 steps"
    }  # fmt: skip
    assert table.share.to_dict() == {"unedited": 1.0, "fact_lookup": 0.5, "random_mlps": 0.6}
    assert table.tried.tolist() == [2, 2, 2]
    assert table.broke.tolist() == ["none", "none", "LoRA 8, 1e-3, 10 steps"]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=6))
def test_the_strongest_is_never_weaker_than_no_attack(shares):
    rows = answers("given", BEFORE, {"forget": 0.3, "maintain": 0.9})
    for number, (forget, maintain) in enumerate(shares):
        rows += answers("given", (f"setting {number}", 1), {"forget": forget, "maintain": maintain})
    (found,) = robustness.strongest(robustness.outcomes(rows)).to_dict("records")
    assert found["share"] >= 0.3
    assert found["low"] <= found["share"] <= found["high"]
    assert found["strongest"] not in found["broke"]


def test_leaks_are_computed_before_the_attack_and_averaged_over_facts():
    table = robustness.leaks(STUDY, [1, 5])
    found = table[(table.localization == "fact_lookup") & (table.group == "forget")].set_index("samples")
    # One of ten facts has .9, the others .1.
    assert found.share[1] == pytest.approx(0.18)
    assert found.share[5] == pytest.approx((leak_at_k(0.9, 5) + 9 * leak_at_k(0.1, 5)) / 10)
    assert (found.low <= found.share).all()
    assert (found.share <= found.high).all()
    assert len(table) == 3 * 2 * 2


def test_a_probability_that_rounding_made_more_than_one_is_one():
    rows = [row("given", "forget", 0, True, log_probability=1e-7)]
    assert robustness.leaks(rows, [3]).share.tolist() == [1.0]


def test_seeds_leak_each_by_itself():
    """The mean of certain and impossible is a half, whatever the number of samples."""
    rows = [row("given", "forget", 0, True, seed=seed, log_probability=value) for seed, value in enumerate((0.0, -1e9))]
    assert robustness.leaks(rows, [1, 100]).share.tolist() == [0.5, 0.5]


def test_the_papers_figures_stand_beside_ours():
    table = robustness.beside_published(STUDY, *HARD).set_index("localization")
    assert table.loc["Fact lookup"].to_dict() == pytest.approx(
        {"paper, forget": 0.199, "here, forget": 0.5, "paper, maintain": 0.663, "here, maintain": 0.9}
    )
    assert math.isnan(table["paper, forget"]["Unedited"])
    assert table["here, forget"]["Unedited"] == 0.9


def test_of_world_facts_the_papers_relearning_is_void():
    assert void_relearning("counterfact-editing") and not void_relearning("sports-athlete-editing")
    assert "edit targets" in about_relearning("counterfact-editing", "s") and "athletes" not in about_relearning("counterfact-editing", "s")
    assert "(athletes, three large models) and ours under LoRA 8." in about_relearning("planted-facts", "LoRA 8")


def test_the_papers_figures_are_of_the_task_or_of_editing_facts_of_its_kind():
    own = ("sports-athlete-editing", "full-sports-editing", "counterfact-editing", "sequential-counterfact-editing")
    assert [nearest(task) for task in own] == list(own)
    assert (nearest("counterfact-unlearning"), nearest("sports-scaling")) == ("counterfact-editing", "sports-athlete-editing")
    assert about("counterfact-editing").startswith("CounterFact: ") and about("sports-athlete-editing").startswith("Athletes: ")
    assert about("counterfact-unlearning").startswith("The paper has no figures of this task; these are of another. CounterFact: ")
    # Fact lookup and CounterFact: forget, maintain and edit accuracy as released.
    (line,) = published(nearest("counterfact-editing"), ["fact_lookup"]).to_dict("records")
    assert (line["forget"], line["maintain"], line["edit"]) == (0.001, 0.969, 0.996)


def test_the_papers_own_attack_is_taken_where_it_was_run():
    table = robustness.outcomes(STUDY)
    assert robustness.published_setting(table) == robustness.shared_setting(table)
    setting, step = RELEARNING_SETTING
    more = answers("given", RELEARNING_SETTING, {"forget": 0.5, "maintain": 1.0})
    assert robustness.published_setting(robustness.outcomes([*STUDY, *more])) == (setting, step)


@pytest.mark.parametrize("task", ["sports-athlete-editing", "counterfact-editing"])
def test_published_figures_are_probabilities_of_nine_localizations(task):
    table = published_relearning(task)
    assert len(table) == 9
    assert table.iloc[:, 1:].stack().between(0, 1).all()


def test_settings_are_called_by_what_they_do():
    assert robustness.setting_name(*BEFORE) == "before the attack"
    assert robustness.setting_name("int4_64", 0) == "int4_64"
    assert robustness.setting_name("LoRA 8, 2.9e-05", 4) == "LoRA 8, 2.9e-5, 4 steps"
    assert robustness.setting_label("full, 0.02") == "full, 0.02"
    assert robustness.setting_label("same topic, 8 texts") == "same topic, 8 texts"
    assert robustness.setting_name("4 tokens", 8) == "4 tokens, 8 steps"


def test_readers_see_who_is_strongest_and_what_was_void():
    table = robustness.strongest_table(robustness.strongest(robustness.outcomes(STUDY)))
    assert table.iloc[2].to_dict() == {
        "localization": "Random MLPs", "strongest attack": "LoRA 8, 1e-4, 10 steps", "settings tried": 2,
        "true after": "0.60 [0.31, 0.83]", "void": "LoRA 8, 1e-3, 10 steps",
    }  # fmt: skip


def test_settings_are_listed():
    table = robustness.settings_table((("learning_rates", (5e-5, 1e-3)), ("steps", 20), ("kinds", ("same topic",))))
    assert table.setting.tolist() == ["learning rates", "steps", "kinds"]
    assert table.tried.tolist() == ["5e-5, 1e-3", "20", "same topic"]


def test_the_taught_half_stands_beside_the_tested_one():
    """Half of the taught facts are right at an even mixture of odds, and no edit target means no odds."""
    rows = [row("fact_lookup", group, number, group == "relearned" and number < 2, HARD, target_log_probability=-1.0,
                log_probability=-1.0 + number) for group in ("relearned", "forget") for number in range(4)]  # fmt: skip
    (line,) = robustness.taught_table(rows).to_dict("records")
    assert line["taught half"].startswith("0.50 [") and line["tested half, log odds"].startswith("1.50 [")
    (line,) = robustness.taught_table([{**one, "target_log_probability": None} for one in rows]).to_dict("records")
    assert (line["taught half, log odds"], line["tested half, log odds"]) == ("-", "-")


def test_what_rounding_leaves_is_the_mean_over_edits():
    rows = [{"localization": "fact_lookup", "scheme": "nf4", "changed": changed, "crossed": crossed, "kept": kept}
            for changed, crossed, kept in ((100, 10, 0.8), (300, 60, 1.0))]  # fmt: skip
    (line_,) = robustness.crossing_table([*rows, *({**row, "scheme": "int8"} for row in rows[:0])]).to_dict("records")
    assert line_ == {"localization": "Fact lookup", "scheme": "nf4", "weights changed": 200, "crossed": pytest.approx(0.15), "kept": 0.9}
