"""Verdicts: one rule, one family, no inference from few forget sets."""

import pandas as pd
import pytest
from attack_rows import HARD, SOFT, answers, attacked, row

from mechlib.report import verdicts
from mechlib.stats import ENOUGH_SETS


def family(sets, gap=True):
    """Fact lookup gets less back than random MLPs in every set, and as much as all MLPs."""
    rows = attacked("unedited", {"forget": 1.0, "maintain": 1.0}, n_sets=sets)
    for key, share in (("fact_lookup", 0.2), ("random_mlps", 0.7 if gap else 0.2), ("all_mlps", 0.2)):
        rows += attacked(key, {"forget": share, "maintain": 1.0}, n_sets=sets)
    return rows


def test_a_verdict_needs_enough_forget_sets():
    table = verdicts.verdicts(family(ENOUGH_SETS - 1), [HARD])
    assert table.verdict.tolist() == ["no inference"] * 2
    assert table.p.tolist() == table["p (Holm)"].tolist() == ["none"] * 2


def test_verdicts_are_of_one_family():
    """Eight sets that all agree: p is 2 / 2^8, twice that by Holm's rule over two lines."""
    table = verdicts.verdicts(family(8), [HARD])
    assert table.columns.tolist() == ["Fact lookup minus", "difference", "forget sets", "least p", "p", "p (Holm)", "verdict"]
    assert table["Fact lookup minus"].tolist() == ["Random MLPs", "All MLPs"]
    assert table.verdict.tolist() == ["supported", "equivalent"]
    assert table.p.tolist() == ["0.008", "1.000"]
    assert table["p (Holm)"].tolist() == ["0.016", "1.000"]
    assert table.difference[0].startswith("-0.50 [")


def test_the_family_holds_all_settings():
    rows = [*family(8), *(one for key in ("fact_lookup", "random_mlps", "all_mlps")
                          for one in answers(key, SOFT, {"forget": 0.1, "maintain": 1.0}, n_sets=8))]  # fmt: skip
    table = verdicts.verdicts(rows, [HARD, SOFT])
    assert table.asked.tolist() == ["LoRA 8, 0.001, 10 steps"] * 2 + ["LoRA 8, 0.0001, 10 steps"] * 2
    assert table["p (Holm)"][0] == f"{4 * 2 / 2**8:.3f}"


@pytest.mark.parametrize(("settings", "verdict"), [([HARD], "supported"), ([HARD, SOFT], "undecidable")])
def test_a_family_too_large_for_its_forget_sets_is_undecidable(settings, verdict):
    """Seven sets: p cannot be below 2 / 2^7 = .016, which Holm's rule allows three lines, not four."""
    rows = [one for one in family(7) if one["localization"] != "all_mlps"]
    rows += attacked("all_mlps", {"forget": 0.5, "maintain": 1.0}, n_sets=7)
    for key, share in (("fact_lookup", 0.1), ("random_mlps", 0.9), ("all_mlps", 0.9)):
        rows += answers(key, SOFT, {"forget": share, "maintain": 1.0}, n_sets=7)
    assert set(verdicts.verdicts(rows, settings).verdict) == {verdict}


def test_equivalence_needs_no_p():
    rows = attacked("unedited", {"forget": 1.0, "maintain": 1.0}, n_sets=6)
    for key in ("fact_lookup", "random_mlps", "all_mlps", "nonlocalized"):
        rows += attacked(key, {"forget": 0.2, "maintain": 1.0}, n_sets=6)
    assert verdicts.verdicts(rows, [HARD]).verdict.tolist() == ["equivalent"] * 3


def test_a_claim_can_be_contradicted():
    assert verdicts.verdicts(family(8), [HARD], better="higher").verdict.tolist() == ["contradicted", "equivalent"]


def test_a_broken_model_gets_no_verdict_but_counts_in_the_family():
    rows = [one for one in family(8) if one["localization"] != "all_mlps"]
    rows += attacked("all_mlps", {"forget": 0.2, "maintain": 0.5}, n_sets=8)
    table = verdicts.verdicts(rows, [HARD])
    assert table.verdict.tolist() == ["supported", "void"]
    assert table["p (Holm)"][0] == "0.016"


def test_formats_are_judged_by_the_same_rule():
    """Fact lookup lets the old answer through in one format of two, random MLPs in both, in all of seven sets."""
    rows = [row(key, "forget", number, key != "fact_lookup" or form == "cloze", forget_set=forget_set, format=form)
            for key in ("unedited", "fact_lookup", "random_mlps") for form in ("cloze", "question", "one_shot")
            for forget_set in range(7) for number in range(4)]  # fmt: skip
    table = verdicts.format_verdicts(rows, ["cloze", "question"])
    assert table.to_dict("records") == [
        {"Fact lookup minus": "Random MLPs", "difference": "-0.50 [-0.50, -0.50]", "forget sets": 7, "least p": "0.016",
             "p": "0.016", "p (Holm)": "0.016",
         "verdict": "supported"}
    ]  # fmt: skip
    assert verdicts.format_verdicts(rows, []).empty


def test_one_localization_has_nobody_to_be_compared_with():
    table = verdicts.verdicts([*attacked("unedited", {"forget": 1.0}), *attacked("random_mlps", {"forget": 1.0})], [HARD])
    assert isinstance(table, pd.DataFrame)
    assert table.empty
    assert table.columns[0] == "Random MLPs minus"
