"""Localizations by their key: windows and draws, fact lookup by either evidence, and components that a file gives."""

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import tiny_model

from mechlib.checks import ParameterError
from mechlib.components import Architecture, Component, ComponentError, Localization, heads_and_mlps, read_names
from mechlib.errors import MechlibError
from mechlib.facts import athletes
from mechlib.localize.fact_lookup import fact_lookup
from mechlib.localize.localizer import Measured
from mechlib.localize.registry import GIVEN, LOCALIZERS, PAPER, localize, localizer, valid_keys
from mechlib.patching.probing import ProbeRow
from mechlib.patching.scores import Scores
from mechlib.report.agreement import probed_lookup, random_mlp_draws
from mechlib.report.tables import label, leading
from mechlib.runs.specs import localizing as module
from mechlib.runs.stages.evidence import METHODS
from mechlib.runs.stages.localize import FILE, LocalizeSettings, localized
from mechlib.runs.study import Study
from mechlib.runs.work import Context, Result, Work

ARCH = Architecture(n_layers=12, n_heads=4, n_key_value_heads=2, d_model=16, d_head=8, d_mlp=20)
MLP = Component(0, "mlp").size(ARCH)
PROBE = [ProbeRow(layer, "subject", 40 if layer < 4 else 100, 100, 30) for layer in range(12)]
# What the MLPs below layer 8 do to the stream that enters it.
EFFECTS = {Component(layer, "mlp"): value for layer, value in enumerate([0.0, 0.05, -0.3, 0.019, 0.2, -0.02, -0.021, 0.0])}
PATHS = Scores("paths", EFFECTS, 1.0, 0.0)
MALFORMED = ["mlps_2_to", "mlps_to_6", "mlps_2_6", "mlps_-1_to_2", "mlps_2_to_6_", " mlps_2_to_6", "random_mlps_", "random_mlps_x",
             "fact_lookup@", "@fact_lookup", "fact_lookup@fact_lookup", "fact_lookup@random_mlps@all_mlps",
             "fact_lookup@random_mlps_"]  # fmt: skip


@pytest.fixture(autouse=True)
def named_models(monkeypatch):
    """A model's fingerprint is its name, so that no weights are looked for."""
    monkeypatch.setattr(module, "fingerprint", lambda spec: spec.name)


@pytest.fixture
def file(tmp_path):
    """Writes a localization by hand and gives its path."""

    def write(components, name="mine.json", **more):
        (tmp_path / name).write_text(json.dumps({"components": components, **more}))
        return str(tmp_path / name)

    return write


@given(st.integers(0, 11), st.integers(0, 11))
def test_a_window_is_its_mlps_the_last_one_included(one, other):
    first, last = sorted((one, other))
    found = localize(f"mlps_{first}_to_{last}", Measured(PROBE), ARCH, seed=0)
    assert found.components == tuple(Component(layer, "mlp") for layer in range(first, last + 1))
    assert found.parameters == (last - first + 1) * MLP
    assert not localizer(found.name).matched


@pytest.mark.parametrize(("key", "says"), [("mlps_6_to_2", "no localization"), ("mlps_10_to_12", "L12.mlp: the model has layers 0 to 11")])
def test_a_window_without_layers_or_with_some_that_the_model_lacks_is_one_line(key, says):
    with pytest.raises(ComponentError, match=says) as caught:
        localize(key, Measured(PROBE), ARCH, seed=0)
    assert "\n" not in str(caught.value)


@given(st.integers(0, 500), st.integers(0, 99))
def test_a_draw_is_the_same_for_every_seed_and_meets_the_budget(number, seed):
    found = localize(f"random_mlps_{number}", Measured(PROBE), ARCH, seed)
    budget = localize("fact_lookup", Measured(PROBE), ARCH, 0).parameters
    assert found.parameters == budget
    assert found.components == localize(f"random_mlps_{number}", Measured(PROBE), ARCH, 0).components
    assert {component.kind for component in found.components} == {"mlp"}


def test_draws_differ_and_are_those_of_the_page_that_compares_with_chance():
    found = [localize(f"random_mlps_{number}", Measured(PROBE), ARCH, 0) for number in range(20)]
    drawn = random_mlp_draws(ARCH, found[0].provenance["budget"], 20)
    assert [one.components for one in found] == [tuple(sorted(draw)) for draw in drawn]
    assert len({one.components for one in found}) > 10


def test_a_draw_is_one_run_and_a_random_localization_one_a_forget_set_and_seed():
    study = Study(localizations=("random_mlps", "random_mlps_3", "mlps_0_to_2"), forget_sets=3, profile="full")
    ids = {key: {study.localize(*where).id for where in study.arms() if where[0] == key} for key in study.localizations}
    assert {key: len(found) for key, found in ids.items()} == {"random_mlps": 9, "random_mlps_3": 1, "mlps_0_to_2": 1}


def test_blanks_around_names_between_commas_are_no_part_of_them():
    assert Study(localizations=" mlps_2_to_6").localizations == ("mlps_2_to_6",)
    assert Study(localizations="fact_lookup , random_mlps").localizations == ("fact_lookup", "random_mlps")


@pytest.mark.parametrize("key", [*MALFORMED, "magic", "", GIVEN.upper()])
def test_an_unknown_key_is_one_line_with_the_known_ones(key):
    with pytest.raises(ComponentError):
        localizer(key)
    # Blanks around a name that is given alone are no part of it, as on the command line.
    alone = () if key.strip() != key else (key,)
    for written in (*alone, ("fact_lookup", key), ("mlps_0_to_1", key)):
        with pytest.raises(ParameterError) as caught:
            Study(localizations=written)
        assert "\n" not in str(caught.value)
        assert [name for name in ("LOCALIZATIONS", *LOCALIZERS) if name not in str(caught.value)] == []


@pytest.mark.parametrize("written", ["mlps_2_to_6", ["mlps_2_to_6"], ("fact_lookup", "mlps_2_to_6", "random_mlps_0", "mlps_2_to_6")])
def test_windows_and_draws_are_localizations_of_a_study(written):
    listed = [written] if isinstance(written, str) else written
    assert Study(localizations=written).localizations == tuple(dict.fromkeys(listed))
    assert set(valid_keys(written)) == {*LOCALIZERS, *listed}


def test_every_localization_has_a_name_of_its_own_for_readers():
    keys = (*LOCALIZERS, "mlps_2_to_6", "mlps_2_to_7", "random_mlps_0", "random_mlps_1", GIVEN)
    assert len({label(key) for key in keys}) == len(keys)
    assert (label("mlps_2_to_6"), label("random_mlps_1"), label("unedited")) == ("MLPs 2 to 6", "Random MLPs, draw 1", "Unedited")


@pytest.mark.parametrize(("localizations", "key"), [(PAPER, "fact_lookup"), (("random", "fact_lookup"), "fact_lookup"),
                                                    (("mlps_0_to_1", "random"), "mlps_0_to_1")])  # fmt: skip
def test_prose_is_about_fact_lookup_where_it_is_run_and_else_about_the_first(localizations, key):
    assert leading(localizations) == key


def test_what_a_localization_is_chosen_from_is_a_method_that_is_run():
    assert {method.evidence for method in LOCALIZERS.values()} - {None} <= set(METHODS)
    assert set(PAPER) < set(LOCALIZERS)
    assert len(PAPER) == 9


@pytest.mark.parametrize(("rule", "layers"), [("paper", [1, 4]), ("released", [1, 2, 4, 6])])
def test_fact_lookup_by_paths_takes_the_mlps_of_its_rule_and_they_are_the_budget(rule, layers):
    measured = Measured(scores={"paths": PATHS}, rule=rule)
    assert measured.lookup(ARCH) == tuple(Component(layer, "mlp") for layer in layers)
    assert localize("fact_lookup", measured, ARCH, seed=0).components == measured.lookup(ARCH)
    assert localize("random_mlps", measured, ARCH, seed=0).parameters == len(layers) * MLP


@pytest.mark.parametrize("rule", ["paper", "released"])
def test_fact_lookup_is_by_probes_where_there_are_some(rule):
    assert Measured(PROBE, {"paths": PATHS}, rule).lookup(ARCH) == fact_lookup(PROBE, ARCH)


@pytest.mark.parametrize("key", ["fact_lookup", "random_mlps", "mlps_9_to_10"])
def test_a_page_has_fact_lookup_whichever_localization_it_runs(key):
    beside = Localization.from_json(json.loads(json.dumps(localize(key, Measured(PROBE), ARCH, seed=3).to_json())))
    found = probed_lookup([{"evidence": "probe", **asdict(row)} for row in PROBE], beside)
    assert found.components == fact_lookup(PROBE, ARCH)
    assert found.parameters == found.provenance["budget"] == beside.provenance["budget"]


@pytest.mark.parametrize("key", [*LOCALIZERS, "mlps_1_to_2", "random_mlps_7"])
def test_a_localization_tells_what_it_was_chosen_from_and_in_which_model(key):
    scores = {name: Scores(name, {node: 1.0 / (n + 1) for n, node in enumerate(heads_and_mlps(ARCH))}, 1.0, 0.0) for name in METHODS}
    found = localize(key, Measured(PROBE, scores), ARCH, seed=5, model="fake")
    assert Localization.from_json(json.loads(json.dumps(found.to_json()))) == found
    about = found.provenance
    assert Architecture(**about["architecture"]) == ARCH
    assert (about["budget"], about["seed"], about["model"]) == (len(fact_lookup(PROBE, ARCH)) * MLP, 5, "fake")
    assert about["evidence"] == localizer(key).evidence


def test_a_file_adds_an_arm(file):
    study = Study(localization=file(["L1.mlp", "L2.head3"]), localizations=("fact_lookup", "random"), forget_sets=1)
    assert study.localizations == ("fact_lookup", "random", GIVEN)
    assert study.arms() == [("fact_lookup", 0, 0), ("random", 0, 0), (GIVEN, 0, 0)]
    assert study.localize(GIVEN, 0, 0).settings.components == ("L1.mlp", "L2.head3")
    assert GIVEN not in Study().localizations
    with pytest.raises(ParameterError, match="'given' is unknown"):
        Study(localizations=("fact_lookup", GIVEN))


def test_a_run_depends_on_what_the_file_holds_and_not_on_where_it_lies(file):
    def run(*written, **more):
        return Study(localization=file(*written, **more)).edit(GIVEN, 0, 0).id

    first = run(["L1.mlp", "L2.head3"])
    assert run(["L1.mlp", "L2.head3"], "elsewhere.json") == first
    assert run([" L1.mlp", "L2.head3"], name="named.json", provenance={"who": "me"}) == first
    assert run(["L1.mlp", "L2.head2"]) != first


def test_the_other_arms_do_not_depend_on_the_file(file):
    study = Study(localization=file(["L1.mlp"]))
    assert all(study.edit(key, 0, 0).id == Study().edit(key, 0, 0).id for key in PAPER)


@pytest.mark.parametrize("text", [None, "", "no json", "[]", "{}", '{"components": 3}', '{"components": null}', '{"components": [1]}',
                                  '{"components": ["L1.mpl"]}', '{"components": [], "provenance": 3}'])  # fmt: skip
def test_a_file_that_is_no_localization_is_one_line(tmp_path, text):
    path = tmp_path / "mine.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(MechlibError) as caught:
        Study(localization=str(path)).runs("localize")
    assert "\n" not in str(caught.value)


def test_a_file_without_components_is_one_line(file):
    with pytest.raises(ComponentError):
        Study(localization=file([])).runs("localize")


@pytest.fixture
def given_by_file(tmp_path):
    """Runs the stage that localizes on given components and evidence."""
    model = tiny_model("gemma3")
    context = Context(model.spec, athletes())
    vars(context)["model"] = model

    def run(components, inputs):
        settings = LocalizeSettings("tiny", GIVEN, "paper", 0, tuple(components))
        return Localization.from_json(localized(Work(context, settings, inputs, tmp_path)).value), model.architecture

    return run


def test_given_components_are_trained_whatever_the_budget_is(given_by_file, tmp_path):
    rows = [{"layer": layer, "position": "subject", "correct": 9, "total": 10, "control_correct": 3} for layer in range(3)]
    found, arch = given_by_file(["L2.head3", "L1.attn"], {"probe": Result(rows)})
    assert found.components == (Component(1, "attn"), Component(2, "head", 3))
    assert found.provenance["budget"] == Component(0, "mlp").size(arch)
    assert Architecture(**found.provenance["architecture"]) == arch
    assert read_names(tmp_path / FILE) == ("L1.attn", "L2.head3")
    assert Localization.load(tmp_path / FILE, arch) == found


def test_a_file_helps_where_path_patching_finds_nothing(given_by_file):
    nothing = {"stream": Scores("paths", {Component(0, "mlp"): 0.0}, 1.0, 0.0).to_json()}
    found, _ = given_by_file(["L1.attn"], {"paths": Result(value=nothing)})
    assert found.components == (Component(1, "attn"),)


@pytest.mark.parametrize("name", ["L3.mlp", "L0.head4", "L0.kv2"])
def test_a_component_that_the_model_lacks_is_one_line(given_by_file, name):
    rows = [{"layer": layer, "position": "subject", "correct": 9, "total": 10, "control_correct": 3} for layer in range(3)]
    with pytest.raises(ComponentError, match=name) as caught:
        given_by_file([name], {"probe": Result(rows)})
    assert "\n" not in str(caught.value)


def test_only_methods_with_a_budget_need_fact_lookup():
    nothing = Measured(scores={"paths": Scores("paths", {Component(0, "mlp"): 0.0}, 1.0, 0.0)})
    for key, count in (("mlps_2_to_4", 3), ("all_mlps", 12), ("nonlocalized", 24)):
        found = localize(key, nothing, ARCH, seed=0)
        assert (len(found.components), found.provenance["budget"]) == (count, None)
    for key in ("fact_lookup", "random", "random_mlps_0"):
        with pytest.raises(ComponentError, match="give LOCALIZATION a file, and LOCALIZATIONS only methods without a budget"):
            localize(key, nothing, ARCH, seed=0)


def test_a_file_may_be_the_only_arm_and_survives_a_copy_of_the_study(file):
    study = Study(localization=file(["L2.head3", "L1.mlp"]), localizations=GIVEN)
    assert (study.localizations, study.given) == ((GIVEN,), ("L1.mlp", "L2.head3"))
    assert study.unreached().localizations == replace(study, seed=1).localizations == (GIVEN,)


@pytest.mark.parametrize(("components", "says"), [([], "is empty"), (["L1.attn", "L1.head2"], "holds L1.head2 twice")])
def test_what_no_model_could_train_is_said_before_any_work(file, components, says):
    with pytest.raises(ComponentError, match=says):
        Study(localization=file(components))


def test_a_rescaled_edit_is_made_of_two_and_trains_what_the_first_does():
    study = Study(task="counterfact-editing", localizations=["random_mlps@fact_lookup", "fact_lookup"], forget_sets=2)
    for number in range(2):
        run = study.edit("random_mlps@fact_lookup", number, 0)
        assert run.inputs == {"edit": study.edit("random_mlps", number, 0), "beside": study.edit("fact_lookup", number, 0)}
        assert study.localize("random_mlps@fact_lookup", number, 0) == study.localize("random_mlps", number, 0)
        assert study.answers("random_mlps@fact_lookup", number, 0, "statement").inputs["edit"] == run
    assert label("random_mlps@fact_lookup") == "Random MLPs (norm of Fact lookup)"
    sequential = Study(task="sequential-counterfact-editing")
    last = sequential.edit("all_mlps@fact_lookup", 0, 0)
    assert last.inputs["edit"] == sequential.edit("all_mlps", 0, 0) and last.inputs["beside"] == sequential.edit("fact_lookup", 0, 0)


@pytest.mark.parametrize("need", ["tuning", "trials", "masks", "zeroed"])
def test_what_is_no_edit_has_no_norm_of_another(need):
    with pytest.raises(ParameterError, match="choose all_mlps"):
        Study(localizations=["fact_lookup", "all_mlps@fact_lookup"]).runs(need)
