"""Localizing again: an edited model is asked for its new answers, and the scores are those of the methods by themselves."""

from dataclasses import replace

import pytest
from small_book import save_facts, save_model

from mechlib.facts import prompts
from mechlib.localize.output_tracing import by_module
from mechlib.patching.activation import activation_patching
from mechlib.runs.runner import Runner
from mechlib.runs.stages.relocalized import TRACED
from mechlib.runs.store import Store
from mechlib.runs.study import Study


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    folder = tmp_path_factory.mktemp("again")
    study = Study(model=str(save_model(folder / "tiny")), facts=str(save_facts(folder / "facts.csv", each=30)), known_threshold=0.0,
                  forget_set_size=4, forget_sets=1, steps=4, learning_rate=1e-2, localizations=("all_mlps",), formats=("one_shot",),
                  precision="float32")  # fmt: skip
    return Runner(study, Store(folder / "runs"))


@pytest.mark.parametrize("key", [None, "all_mlps"])
def test_scores_are_those_of_tracing_by_itself(runner, key):
    study = runner.study
    result = runner.result(study.relocalized(key, 0, 0))
    model, known = runner.model, runner.result(study.known)
    facts = runner.context.splits(known, study.splits).forget[0].facts
    if key:
        runner.compute([study.edit(key, 0, 0)], files=True)
        model = runner.read(study.edit(key, 0, 0), files=True).delta.edited(model)
        facts = [replace(fact, answer=fact.target, target=fact.answer) for fact in facts]
    asked = prompts(facts, study.about(0).format)
    expected = by_module(activation_patching(model, asked, corruption="noise", direction="denoise", seed=study.seed, precision="float32"))
    told = {(row["kind"], row["layer"]): row["score"] for row in result.rows if row["evidence"] == "causal_tracing"}
    assert told == {(one.kind, one.layer): pytest.approx(score, abs=1e-4) for one, score in expected.items()}
    assert {row["evidence"] for row in result.rows} == {*TRACED}


def test_what_is_named_follows_from_the_scores_at_the_size_of_fact_lookup(runner):
    study = runner.study
    result, lookup = runner.result(study.relocalized(None, 0, 0)), runner.result(study.localize("fact_lookup", 0, 0)).value
    assert {*result.value["found"]} == {f"{name}{mlps}" for name in TRACED for mlps in ("", "_mlps")}
    for one in result.value["found"].values():
        assert one["provenance"]["budget"] == lookup["provenance"]["budget"]
    layers = [row for row in result.rows if (row["evidence"], row["kind"]) == ("causal_tracing", "mlp")]
    strongest = max(layers, key=lambda row: abs(row["score"]))["layer"]
    assert f"L{strongest}.mlp" in result.value["found"]["causal_tracing_mlps"]["components"]
