"""Which runs a page's needs are: attacks and audits of the unedited model and of every edit, by fold, null and profile."""

from collections import Counter
from dataclasses import replace

import pytest

from mechlib.attacks.registry import ATTACKS
from mechlib.runs.profiles import PROFILES
from mechlib.runs.stages import ATTACK
from mechlib.runs.study import Study

KEYS = ("fact_lookup", "random_mlps")


@pytest.fixture(autouse=True)
def named_models(monkeypatch):
    """A model's fingerprint is its name, so that no weights are looked for."""
    monkeypatch.setattr("mechlib.runs.specs.localizing.fingerprint", lambda spec: spec.name)


def study(profile, **parameters):
    return Study(profile=profile, localizations=KEYS, **{"forget_sets": 3, "seeds": 2, **parameters})


def counted(profile, need, **parameters):
    return len(study(profile, **parameters).runs(need))


# Two edits of three sets with two seeds, and the unedited model of each set, are 15 models. The nulls of "full" are of two sets
# (10 models), those of "quick" of one (5).
@pytest.mark.parametrize(("need", "quick", "full"), [
    ("edit", 12, 12),
    ("relearning", 15, 30), ("benign", 15, 15), ("quantization", 15, 15), ("direction", 15, 30), ("in_context", 15, 30),
    ("soft_prompt", 15, 30), ("relearning_nulls", 5, 20), ("soft_prompt_nulls", 5, 10), ("latent", 15, 15), ("ripple", 15, 15),
])  # fmt: skip
def test_how_many_runs_attacks_and_audits_are(need, quick, full):
    assert (counted("quick", need), counted("full", need)) == (quick, full)
    assert counted("full", need, forget_sets=6, seeds=1) == {12: 12, 5: 6, 10: 6, 20: 12, 15: 18, 30: 36}[full]


def test_a_quick_study_attacks_one_set_unless_it_says_how_many_it_has():
    kept = {columns["forget_set"] for columns, _ in Study(localizations=KEYS).runs("relearning")}
    assert kept == {0} and len(Study(localizations=KEYS).runs("edit")) == 4
    for profile, given in (("quick", {"forget_sets": 2}), ("full", {})):
        runs = Study(profile=profile, localizations=KEYS, **given).runs("latent")
        assert len({columns["forget_set"] for columns, _ in runs}) == {"quick": 2, "full": 8}[profile]


@pytest.mark.parametrize("need", [*ATTACKS, *(f"{name}_nulls" for name, plan in ATTACKS.items() if plan.nulls), "latent", "ripple"])
@pytest.mark.parametrize("profile", PROFILES)
def test_no_two_runs_are_the_same_or_have_the_same_columns(profile, need):
    runs = study(profile).runs(need)
    assert len({tuple(columns.items()) for columns, _ in runs}) == len({spec.id for _, spec in runs}) == len(runs) > 0


def test_answers_that_are_all_the_same_are_not_permuted():
    whole = study("full", task="sports-unlearning")
    assert {columns["null"] for columns, _ in whole.runs("relearning_nulls")} == {"retain facts only"}
    assert whole.runs("soft_prompt_nulls") == []
    quick = study("quick", task="sports-unlearning").runs("relearning_nulls")
    assert {columns["null"] for columns, _ in quick} == {"retain facts only"}


@pytest.mark.parametrize("name", ATTACKS)
def test_columns_say_what_was_attacked(name):
    for columns, spec in study("full").runs(name):
        assert columns["attack"] == name
        assert columns["fold"] == spec.settings.fold
        assert columns["forget_set"] == spec.settings.asked.about.forget_set
        assert (spec.stage, spec.settings.attack) == (ATTACK, name)
        assert (columns["localization"] == "unedited") == ("edit" not in spec.inputs)
        if "edit" in spec.inputs:
            where = columns["localization"], columns["forget_set"], columns["seed"]
            assert spec.inputs["edit"].id == study("full").edit(*where).id
        else:
            assert columns["seed"] == 0


@pytest.mark.parametrize("name", [name for name, plan in ATTACKS.items() if plan.nulls])
def test_a_null_is_the_first_fold_of_its_attack_with_other_settings(name):
    own = study("full")
    attacks = {(c["localization"], c["forget_set"], c["seed"], c["fold"]): spec for c, spec in own.runs(name)}
    nulls = own.runs(f"{name}_nulls")
    assert Counter(columns["null"] for columns, _ in nulls) == dict.fromkeys(ATTACKS[name].nulls, 10)
    for columns, spec in nulls:
        real = attacks[columns["localization"], columns["forget_set"], columns["seed"], 0]
        expected = {**real.settings.settings, **ATTACKS[name].nulls[columns["null"]]}
        assert spec.settings == replace(real.settings, settings=expected) != real.settings
        assert {key: one.id for key, one in spec.inputs.items()} == {key: one.id for key, one in real.inputs.items()}
        assert spec.id != real.id


def test_sets_come_one_after_the_other():
    """What is done of a long run is whole sets."""
    numbers = [columns["forget_set"] for columns, _ in study("full", seeds=1).runs("relearning")]
    assert numbers == sorted(numbers)
