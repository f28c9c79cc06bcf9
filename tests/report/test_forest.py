"""Forest plots: every comparison that was run, by its verdict, beside what the released runs and the paper say."""

import math

import pytest
from test_front import CLAIMS, FOUND, RELEARNING, TRANSFER, line, standing, told

from mechlib.report.forest import forest, gaps, of_page, printed_gap, released_gap


def test_the_forest_has_every_comparison_that_was_run_and_the_released_difference():
    found = told(*FOUND)
    lines = gaps(found)
    assert list(lines.arm) == ["Causal tracing", "Random MLPs", "Last MLPs", "All MLPs", "Attribution patching"]
    # Letters of the released runs: fact lookup .033 and .862, causal tracing .423 and .152.
    assert lines.released[0] == pytest.approx(math.log(0.033 / 0.862) - math.log(0.423 / 0.152))
    assert released_gap("sports-athlete-editing", "relearning", "causal_tracing") == pytest.approx(
        math.log(0.199 / 0.801) - math.log(0.469 / 0.531)
    )
    assert released_gap("counterfact-editing", "relearning", "causal_tracing") is None
    # As printed: fact lookup 20 %, causal tracing 63 %, its MLPs 47 %; of other arms, outcomes and facts there is no number.
    assert printed_gap("sports-athlete-editing", "relearning", "causal_tracing") == pytest.approx(
        math.log(0.2 / 0.8) - math.log(0.63 / 0.37)
    )
    assert {printed_gap("sports-athlete-editing", *one) for one in (("relearning", "all_mlps"), ("transfer", "causal_tracing"))} == {None}
    assert printed_gap("counterfact-editing", "relearning", "causal_tracing") is None
    both = forest(told(line(RELEARNING, "causal_tracing", -2.0), line(RELEARNING, "all_mlps", -2.0)))
    assert [trace.name for trace in both.data].count("printed in the paper") == 1
    assert released_gap("sports-athlete-editing", "transfer", "late_window") is None
    names = [trace.name for trace in forest(found).data]
    assert names.count("released runs (three larger models)") == 4 and "supported" in names
    assert "no verdict: a gate" in names and "undecided" not in names and "x-open" in forest(found).data[-2].marker.symbol


def test_the_forest_of_a_page_has_the_claims_about_one_outcome():
    words = next(one for one in CLAIMS.claim if one.formats and one.task == TRANSFER.task)
    found = [standing(*FOUND), standing(line(words, words.rivals[0], -1.0)), standing(line(RELEARNING, "all_mlps", -1.0))]
    own = of_page(found, "transfer")
    assert [one.about for one in own] == [TRANSFER.key, words.key]
    figure = forest(own, {"transfer": ""})
    assert {trace.name for trace in figure.data} >= {f"supported, {TRANSFER.key}", f"supported, {words.key}"}
    assert len(forest(own, {"relearning": ""}).data) == 0
