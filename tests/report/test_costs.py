"""What a study costs elsewhere: from sizes that are made by hand, and against what was measured on a card."""

import pytest

from mechlib.models import resolve
from mechlib.report import costs
from mechlib.report.book_studies import declared_studies
from mechlib.runs.cost import CARD, factor
from mechlib.runs.memory import sizes
from mechlib.runs.spec import with_inputs
from mechlib.runs.study import Study

NEEDS = ("edit", "prompting", "relearning")


def test_weights_are_as_many_as_the_models_are_called_by():
    assert [round(one.weights / 1e9) for one in costs.MODELS.values()] == [8, 71, 406]


def test_seconds_are_those_of_all_runs_each_once():
    study = Study(forget_sets=1, localizations=["fact_lookup", "all_mlps"], formats=["one_shot"])
    runs = with_inputs(spec for need in NEEDS for _, spec in study.runs(need))
    ids = [spec.id for spec in runs]
    assert len({*ids}) == len(ids) == len(with_inputs([*runs, *runs]))
    assert all(ids.index(needed.id) < ids.index(spec.id) for spec in runs for needed in spec.inputs.values())
    assert {"known", "texts", "evidence", "localize", "edit", "answers", "attack"} == {spec.stage.name for spec in runs}
    hours = sum(spec.seconds for spec in runs) * factor(costs.MODELS["70B"], "bfloat16", CARD) / 3600
    shown = costs.study_costs(study, NEEDS, cards=(6, 12)).set_index("model").loc["70B"]
    assert shown["6 cards"] == costs._hours(hours, 6, 6) and shown["12 cards"] == costs._hours(hours, 2, 1)


def test_more_cards_are_as_many_runs_side_by_side_and_too_few_are_none():
    assert [costs._hours(12.0, cards, 4) for cards in (3, 4, 7, 8, 64)] == ["too large", "12.0 h", "12.0 h", "6.0 h", "45 min"]
    assert costs._hours(0.001, 1, 1) == "1 min"


def test_an_edit_holds_the_weights_and_more_of_what_it_trains():
    study = declared_studies()[0].of("gemma-3-270m")
    for one in costs.MODELS.values():
        lookup, everything = (costs.edit_bytes(study, one, whole) for whole in (False, True))
        # Weights in two bytes; of what trains a master, two states and a gradient of four each, beside.
        assert 2 * one.weights < lookup < everything
        assert 2 * one.weights + 14 * one.localizable < everything < 2 * one.weights + 18 * one.localizable


def test_the_embedded_model_takes_on_a_card_about_what_it_took():
    """Pages 5, 6 and 11 of eight sets and six arms took 5 min 50 s on one H200, several runs at a time, with the edits of that time."""
    arms = ["fact_lookup", "causal_tracing", "attribution_patching", "random_mlps", "all_mlps", "nonlocalized"]
    study = Study(profile="full", seeds=1, localizations=arms)
    declared = sum(spec.seconds for spec in with_inputs(spec for need in (*NEEDS, "damage") for _, spec in study.runs(need)))
    assert declared * factor(sizes(resolve("gemma-3-270m")), "bfloat16", CARD) == pytest.approx(350, rel=0.5)
