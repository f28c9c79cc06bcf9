"""Values of parameters: what is not given comes from the profile, the task or the machine; what cannot be is one line."""

import dataclasses

import pandas as pd
import pytest

from mechlib.attacks.registry import ATTACKS
from mechlib.checks import ParameterError
from mechlib.facts import FactError, formats_of
from mechlib.facts.relations import SPORT
from mechlib.localize.registry import GIVEN, LOCALIZERS, PAPER
from mechlib.models import KNOWN, ModelError
from mechlib.runs import parameters as module
from mechlib.runs.parameters import OPTIMIZERS, RULES
from mechlib.runs.profiles import PROFILES
from mechlib.runs.study import Study
from mechlib.runs.tasks import TASKS
from mechlib.runs.usual import as_usual, usual

pytestmark = pytest.mark.precision

SPORT_FORMATS = formats_of(SPORT)


@pytest.fixture(autouse=True)
def named_models(monkeypatch):
    """A model's fingerprint is its name, so that no weights are looked for."""
    monkeypatch.setattr("mechlib.runs.specs.localizing.fingerprint", lambda spec: spec.name)


@pytest.mark.parametrize("profile", PROFILES)
def test_localizations_come_from_the_profile(profile, tmp_path):
    (tmp_path / "mine.json").write_text('{"components": ["L1.mlp"]}')
    usual = PROFILES[profile].localizations
    assert Study(profile=profile).localizations == usual
    assert Study(profile=profile, localization=str(tmp_path / "mine.json")).localizations == (*usual, GIVEN)
    assert Study(profile=profile, localizations=["all_mlps"]).localizations == ("all_mlps",)


def test_only_quick_leaves_localizations_of_the_paper_out():
    assert {name for name, profile in PROFILES.items() if profile.localizations != PAPER} == {"quick"}
    assert set(PROFILES["quick"].localizations) < set(PAPER)


def test_seeds_say_how_often_an_edit_is_trained():
    arms = Study(seeds=3, forget_sets=1, localizations=("fact_lookup",)).arms()
    assert arms == [("fact_lookup", 0, seed) for seed in range(3)]
    assert {name: Study(profile=name).size.n_seeds for name in PROFILES} == {name: one.n_seeds for name, one in PROFILES.items()}


@pytest.mark.parametrize(("profile", "given", "trained"), [
    ("quick", None, 0.98), ("full", None, 0.98), ("paper", None, None), ("quick", 1, None), ("full", 1.0, None), ("paper", 0.5, 0.5),
])  # fmt: skip
def test_training_stops_at_the_profile_s_success_and_at_one_never(profile, given, trained):
    study = Study(profile=profile, stop_at=given)
    assert study.training("fact_lookup", 0, 0).stop_at == trained
    assert study.trial("fact_lookup", 1e-4, 1.0).settings.training.stop_at == trained


@pytest.mark.parametrize("task", ["full-sports-editing", "sports-unlearning", "sports-scaling", "counterfact-unlearning"])
def test_whole_answers_and_unlearning_take_all_steps_unless_a_stop_is_given(task):
    assert Study(task=task).training("fact_lookup", 0, 0).stop_at == (0.98 if task == "sports-scaling" else None)
    assert Study(task=task, stop_at=0.8).training("fact_lookup", 0, 0).stop_at == 0.8


@pytest.mark.parametrize(("profile", "retain", "text", "forget"), [("quick", 8, 1, 16), ("full", 16, 2, 32), ("paper", 64, 64, 64)])
def test_a_profile_says_what_a_step_sees(profile, retain, text, forget):
    def batches(**given):
        training = Study(profile=profile, **given).training("fact_lookup", 0, 0)
        return training.retain_batch, training.text_batch, training.forget_batch

    # A set of sixteen is taken whole, whatever the profile.
    assert batches() == (retain, text, None)
    assert batches(task="sports-unlearning") == batches(task="sports-scaling") == (retain, text, forget)
    masking = Study(profile=profile).mask("fact_lookup", 0).settings.training
    assert (masking.retain_batch, masking.text_batch) == (retain, text)


def test_large_sets_are_one_unless_more_are_asked_for():
    assert Study(task="sports-scaling").size.n_sets == Study(task="sports-scaling", profile="full").size.n_sets == 1
    assert Study(task="sports-scaling", forget_sets=2).size.n_sets == 2
    assert Study(task="sequential-counterfact-editing").size.n_sets == Study().size.n_sets == 2


def test_two_tasks_about_whole_answers_share_what_they_are_localized_by():
    golf, gone = (Study(task=task) for task in ("full-sports-editing", "sports-unlearning"))
    assert golf.localize("fact_lookup", 0, 0).id == gone.localize("fact_lookup", 0, 0).id
    assert golf.edit("fact_lookup", 0, 0).id != gone.edit("fact_lookup", 0, 0).id
    assert golf.splits.target == "golf"


def test_the_paper_s_profile_is_one_run_of_all_steps_without_a_stop():
    study = Study(profile="paper")
    assert (study.size.n_sets, study.size.n_seeds, study.size.steps) == (1, 1, 50)
    assert (study.training("fact_lookup", 0, 0).steps, study.training("fact_lookup", 0, 0).stop_at) == (50, None)
    # Learning rates from 2e-6 to 1e-4 and forget coefficients, as in its sweeps.
    assert len(study.tuning("fact_lookup").inputs) == 6 * 6


@pytest.mark.parametrize("fast", module.PRECISIONS)
def test_a_precision_that_is_not_given_is_the_machine_s_fast_one_and_not_asked_for(monkeypatch, fast):
    monkeypatch.setenv("MECHLIB_PRECISION", fast)
    training = Study().training("fact_lookup", 0, 0)
    assert (Study().precision, training.precision, training.arithmetic) == (None, None, fast)
    assert Study().edit("fact_lookup", 0, 0).id != Study(precision=fast).edit("fact_lookup", 0, 0).id
    assert [Study(precision=given).precision for given in module.PRECISIONS] == list(module.PRECISIONS)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_s_settings_are_the_profile_s_but_for_what_is_given(name):
    plan = ATTACKS[name]
    for profile in ("quick", "full"):
        usual = {key: tuple(value) if isinstance(value, list) else value for key, value in plan.settings[profile].items()}
        assert dict(getattr(Study(profile=profile), name)) == usual
        for key, value in plan.settings["full"].items():
            given = [value[0]] if isinstance(value, list) else value
            expected = {**usual, key: tuple(given) if isinstance(given, list) else given}
            assert dict(getattr(Study(profile=profile, **{name: {key: given}}), name)) == expected


@pytest.mark.parametrize("name", ATTACKS)
def test_settings_are_the_same_however_they_are_written(name):
    usual = ATTACKS[name].settings["quick"]
    ways = [None, {}, usual, dict(reversed(usual.items())), tuple(usual.items()), [list(pair) for pair in usual.items()]]
    ways.append({key: tuple(value) if isinstance(value, list) else value for key, value in usual.items()})
    studies = {Study(**{name: way}) for way in ways}
    assert studies == {Study()}
    assert dataclasses.replace(Study(), seed=1) == Study(seed=1)


@pytest.mark.parametrize("given", [{"learning_rat": 1e-3}, {"labels": "permuted"}, "steps", 7, ["steps"], {3: 4}, True, (("step", 1),)])
@pytest.mark.parametrize("name", ATTACKS)
def test_an_unknown_setting_is_one_line_with_the_known_ones(name, given):
    with pytest.raises(ParameterError) as caught:
        Study(**{name: given})
    one_line(caught, name.upper(), "is no setting", *{key for settings in ATTACKS[name].settings.values() for key in settings})


def one_line(caught, *words):
    text = str(caught.value)
    assert "\n" not in text
    assert [word for word in words if word not in text] == []


@pytest.mark.parametrize(("name", "value", "known"), [
    ("profile", "quik", PROFILES),
    ("task", "arithmetic", TASKS),
    ("precision", "float16", ("bfloat16", "float32")),
    ("lookup_rule", "papers", RULES),
    ("optimizer", "sgd", OPTIMIZERS),
    ("known_format", "fewshot", SPORT_FORMATS),
    ("edit_format", "fewshot", SPORT_FORMATS),
    ("formats", ("one_shot", "fewshot"), SPORT_FORMATS),
    ("formats", "fewshot", SPORT_FORMATS),
    ("localizations", ("fact_lookup", "magic"), LOCALIZERS),
    ("localizations", "magic", LOCALIZERS),
])  # fmt: skip
def test_an_unknown_name_is_one_line_with_the_known_ones(name, value, known):
    with pytest.raises(ParameterError) as caught:
        Study(**{name: value})
    one_line(caught, name.upper(), *known)


def test_an_unknown_model_is_one_line_with_the_known_ones():
    with pytest.raises(ModelError) as caught:
        _ = Study(model="gemma-4").model_spec
    one_line(caught, "gemma-4", *KNOWN)


NUMBERS = ["forget_set_size", "forget_sets", "seeds", "steps", "micro_batch", "learning_rate", "forget_coefficient", "stop_at"]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [0, -1, "many", True])
def test_a_number_has_to_be_a_number_above_zero(name, value):
    with pytest.raises(ParameterError) as caught:
        Study(**{name: value})
    one_line(caught, name.upper())


@pytest.mark.parametrize("value", [-0.1, 1, 1.5, "half", float("nan")])
def test_a_threshold_has_to_be_a_probability(value):
    with pytest.raises(ParameterError) as caught:
        Study(known_threshold=value)
    one_line(caught, "KNOWN_THRESHOLD")


@pytest.mark.parametrize(("name", "value"), [
    ("forget_sets", 1.5), ("forget_set_size", 2.5), ("steps", 2.5), ("steps", (1, 2)), ("forget_set_size", None),
    ("seed", "one"), ("seed", 0.5), ("seed", None), ("known_threshold", None), ("known_threshold", (0.1, 0.2)),
    ("profile", ["quick", "full"]), ("known_format", ["cloze"]), ("formats", 3), ("formats", ()),
    ("localizations", ()), ("localizations", 3), ("localization", 5), ("localization", ""),
    ("lookup_rule", None), ("lookup_rule", ["paper"]), ("task", None), ("world_facts", 5), ("world_facts", ""),
    ("tune", 1), ("tune", "yes"), ("checkpointing", None), ("kl_coefficient", -0.1),
    ("kl_coefficient", None), ("kl_coefficient", float("nan")),
    ("stop_at", (0.5, 0.9)), ("seeds", 1.5), ("precision", ["float32"]), ("texts", 5), ("texts", ""),
    ("learning_rate", float("inf")), ("learning_rate", (1e-4, 1e-5)), ("forget_coefficient", float("inf")),
])  # fmt: skip
def test_a_value_of_the_wrong_kind_is_one_line(name, value):
    """What ``PARAMS="FORGET_SETS=1.5"`` or ``"PROFILE=quick,full"`` gives: no traceback, and before any work."""
    with pytest.raises(ParameterError) as caught:
        Study(**{name: value})
    one_line(caught, name.upper())


@pytest.mark.parametrize(("name", "value"), [("model", 5), ("model", None), ("facts", 5)])
def test_a_name_that_is_no_text_is_one_line(name, value):
    """What ``PARAMS="MODEL=5"`` gives; a folder may be called 5, so it is the model that is not found."""
    with pytest.raises((ParameterError, ModelError, FactError)) as caught:
        study = Study(**{name: value})
        _ = study.model_spec, study.table
    one_line(caught, str(value))


@pytest.mark.parametrize(("column", "entry"), [
    ("paraphrase_prompts", r"['\xZZ Rome lies in']"), ("neighborhood_prompts", r"['\N{no such name}']"),
    ("requested_rewrite", "-" * 100_000 + "1"),
])  # fmt: skip
def test_a_list_in_a_table_of_world_facts_that_is_no_literal_is_one_line(tmp_path, column, entry):
    row = {"subject": "Rome", "relation": "{} lies in", "target_true": "Italy", "target_false": "Spain"}
    path = tmp_path / "mine.csv"
    pd.DataFrame([row, {**row, "subject": "Kyoto", column: entry}]).to_csv(path, index=False)
    with pytest.raises(FactError, match="mine.csv, row 2, line 3: .* cannot be read") as caught:
        _ = Study(task="counterfact-editing", world_facts=str(path)).table
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("task", ["full-sports-editing", "sports-scaling", "counterfact-editing"])
@pytest.mark.parametrize("profile", ["quick"])
def test_what_counts_as_usual_is_what_gives_the_same_runs(profile, task):
    """Each value in so many words, and a value beside it: how many runs, and the last of them."""
    def runs(**given):
        study = Study(**{"profile": profile, "task": task, **given})
        found = [study.runs(need) for need in ("prompting", "relearning", "soft_prompt")]
        return [(len(some), some[-1][1].id) for some in found]

    others = {"forget_sets": 2, "seeds": 2, "steps": 13, "stop_at": 0.5, "localizations": ("all_mlps",), "formats": ("one_shot",),
              "known_format": "statement" if "counter" in task else "cloze", "edit_format": "statement" if "counter" in task else "cloze",
              "relearning": {"steps": 7}, "soft_prompt": {"tokens": 3}}  # fmt: skip
    plain = runs()
    for name, other in others.items():
        for value in (usual(profile, task)[name], other):
            assert as_usual(name, value, profile, task) == (runs(**{name: value}) == plain), (name, value)
