"""Tasks: their own defaults, formats and evidence, and the runs that pages ask for by name."""

from dataclasses import replace
from itertools import pairwise

import pytest

from mechlib.checks import ParameterError
from mechlib.facts import FORMATS, athletes, world_facts
from mechlib.facts.invented import invented_athletes
from mechlib.facts.relations import SPORT, WORLD
from mechlib.localize.registry import LOCALIZERS, PAPER, localizer
from mechlib.runs.needs import NEEDS
from mechlib.runs.specs import localizing as module
from mechlib.runs.specs.localizing import BY_POSITION, OF_INPUTS, REDRAWN
from mechlib.runs.stages.evidence import SCORED
from mechlib.runs.study import Study
from mechlib.runs.tasks import COUNTERFACT, SPORTS, TASKS

WORLDLY = [key for key, task in TASKS.items() if task.domain is COUNTERFACT]
SPORTY = [key for key, task in TASKS.items() if task.domain.relation is SPORTS.relation]
PLANTING = [key for key, task in TASKS.items() if task.planted or task.spread]
EDITING = Study(task="counterfact-editing")


@pytest.fixture(autouse=True)
def named_models(monkeypatch):
    """A model's fingerprint is its name, so that no weights are looked for."""
    monkeypatch.setattr(module, "fingerprint", lambda spec: spec.name)


@pytest.fixture
def published(tmp_path):
    """A small published set of facts."""
    path = tmp_path / "facts.csv"
    path.write_text("subject,relation,target_true,target_false\nRome,{} lies in,Italy,Spain\n")
    return str(path)


def one_line(caught, *words):
    assert "\n" not in str(caught.value)
    assert [word for word in words if word not in str(caught.value)] == []


def test_a_task_is_listed_under_its_own_name():
    assert list(TASKS) == [task.key for task in TASKS.values()]
    assert len({task.label for task in TASKS.values()}) == len(TASKS)
    assert set(WORLDLY) | set(SPORTY) == set(TASKS)
    assert {"sports-athlete-editing", "counterfact-editing"} <= set(TASKS)


def test_world_facts_are_asked_with_one_demonstration_and_in_other_words():
    assert (EDITING.known_format, EDITING.edit_format, EDITING.trained_format) == ("one_shot", "one_shot", "one_shot")
    assert EDITING.formats == ("one_shot", "statement", "paraphrase_1")
    assert Study(task=EDITING.task, profile="full").formats == (*EDITING.formats, "paraphrase_2")
    assert (Study().known_format, Study().edit_format) == ("few_shot", "few_shot")
    assert Study(profile="full").formats == ("one_shot", "question", "few_shot", "cloze", "multiple_choice")


def test_formats_that_only_some_claims_ask_for_are_asked_of_the_unedited_model_alone():
    beyond = ("word_choice", "spanish", "french", "german")
    study = Study(profile="full")
    assert study.kind.beyond == beyond and not {*beyond} & {*study.formats}
    assert [columns["format"] for columns, _ in study.runs("able")] == list(beyond)
    for columns, run in study.runs("able"):
        assert run == study.asked_of_all(columns["format"]) and run.inputs == {}
    assert {run.settings.sample for _, run in Study().runs("able")} == {Study().size.n_asked}
    assert {key for key in TASKS if Study(task=key).runs("able")} == {Study.task}
    assert Study(formats=beyond).formats == beyond


@pytest.mark.parametrize("key", TASKS)
def test_a_task_s_own_formats_are_possible(key):
    study, task = Study(task=key), TASKS[key]
    assert {study.known_format, study.edit_format, *study.formats} <= set(task.possible_formats)
    assert all(set(FORMATS[form].wordings) <= set(task.domain.relation.wordings) for form in task.possible_formats)


@pytest.mark.parametrize(
    ("keys", "lacking"), [(WORLDLY, ("question", "cloze", "multiple_choice")), (SPORTY, ("paraphrase_1", "paraphrase_2"))]
)
@pytest.mark.parametrize("name", ["known_format", "edit_format", "formats"])
def test_a_format_that_the_relation_lacks_is_one_line_with_those_it_has(keys, lacking, name):
    for key in keys:
        for form in lacking:
            with pytest.raises(ParameterError) as caught:
                Study(**{"task": key, name: form})
            one_line(caught, name.upper(), form, *TASKS[key].possible_formats)


@pytest.mark.parametrize("key", TASKS)
def test_a_task_starts_from_the_table_of_its_domain(key, published):
    assert Study(task=key).table == (world_facts() if key in WORLDLY else invented_athletes() if key in PLANTING else athletes())
    other = {"facts": published} if key in WORLDLY else {"world_facts": published}
    assert Study(task=key, **other).known.id == Study(task=key).known.id


@pytest.mark.parametrize("key", WORLDLY)
def test_world_facts_can_come_from_a_published_set(key, published):
    study = Study(task=key, world_facts=published)
    assert [str(fact) for fact in study.table] == ["Rome -> Italy (edit: Spain)"]
    assert study.known.id != Study(task=key).known.id


@pytest.mark.parametrize("key", TASKS)
def test_fact_lookup_is_found_by_probes_for_athletes_and_by_paths_for_world_facts(key):
    lookup, other = ("paths", "probe") if key in WORLDLY else ("probe", "paths")
    study = Study(task=key)
    assert set(study.evidence) == {lookup, *SCORED}
    for name in LOCALIZERS:
        run = study.localize(name, 0, 0)
        assert set(run.inputs) == {lookup, localizer(name).evidence} - {None}
        assert run.inputs[lookup].settings.method == lookup
        assert other not in run.inputs


@pytest.mark.parametrize("key", TASKS)
def test_all_evidence_is_taken_from_the_same_facts_in_the_same_format(key):
    runs = Study(task=key, edit_format="few_shot").evidence.values()
    assert {run.settings.format for run in runs} == {FORMATS["few_shot"]}
    assert len({(run.settings.splits, run.settings.seed, run.inputs["known"].id) for run in runs}) == 1
    assert len({run.id for run in runs}) == len(SCORED) + 1


def test_the_rule_decides_what_is_localized_and_not_what_is_measured():
    released = Study(task="counterfact-editing", lookup_rule="released")
    assert released.evidence["paths"].id == EDITING.evidence["paths"].id
    assert released.localize("fact_lookup", 0, 0).settings.rule == "released"
    assert released.localize("fact_lookup", 0, 0).id != EDITING.localize("fact_lookup", 0, 0).id


@pytest.mark.parametrize("value", ["papers", "", 1, None, True])
def test_an_unknown_rule_is_one_line_with_the_known_ones(value):
    with pytest.raises(ParameterError) as caught:
        Study(task="counterfact-editing", lookup_rule=value)
    one_line(caught, "LOOKUP_RULE", "paper", "released")


@pytest.mark.parametrize("key", TASKS)
@pytest.mark.parametrize("need", NEEDS)
def test_what_a_page_asks_for_is_runs_each_under_columns_of_its_own(key, need):
    runs = Study(task=key, forget_sets=2).runs(need)
    none = need in ("found", "looked_up", "planted", "undone") and key not in PLANTING
    none = none or (need == "soft_prompt_nulls" and TASKS[key].forget == "answers") or (need == "able" and not TASKS[key].beyond)
    assert bool(runs) != none
    # Rows of these runs say themselves in which format and with which hyperparameters they were made.
    named = {(tuple(columns.items()), str(run.settings)) for columns, run in runs}
    assert len(named) == len(runs)


@pytest.mark.parametrize(("profile", "parts"), [("quick", 2), ("full", 4), ("paper", 4)])
def test_a_sequential_edit_has_as_many_parts_as_the_profile_goes(profile, parts):
    study = Study(task="sequential-counterfact-editing", profile=profile, localizations=("fact_lookup",), forget_sets=1, seeds=1)
    runs = study.runs("edit")
    assert [run.settings.part for _, run in runs] == [(part, parts) for part in range(parts)]
    for (_, before), (_, after) in pairwise(runs):
        assert after.inputs["before"].id == before.id
    assert study.splits.set_size == parts * study.forget_set_size
    assert study.edit("fact_lookup", 0, 0).id == runs[-1][1].id
    assert {one.settings.share[1] for _, run in study.runs("localize") for one in run.inputs.values()} == {parts}


@pytest.mark.parametrize("key", TASKS)
def test_a_page_gets_no_more_evidence_than_its_localizations_need(key):
    lookup = TASKS[key].domain.lookup

    def needed(*localizations):
        return {columns["evidence"] for columns, _ in Study(task=key, localizations=localizations).runs("evidence")}

    assert needed("random", "mlps_0_to_1", "random_mlps_2") == {lookup, BY_POSITION}
    assert needed("fact_lookup", "integrated_gradients_mlps") == {lookup, BY_POSITION, "integrated_gradients"}
    assert needed(*PAPER) == {lookup, BY_POSITION, "causal_tracing", "attribution_patching"}


def test_the_methods_that_are_compared_are_all_but_the_one_that_only_repeats_a_detail():
    found = {columns["evidence"] for columns, _ in Study().runs("methods")}
    assert found == {"probe", *SCORED} - {REDRAWN}
    assert set(Study().circuits.inputs) == {"known", *SCORED} - {REDRAWN, BY_POSITION, OF_INPUTS}
    world = {profile: {columns["evidence"] for columns, _ in Study(task="counterfact-editing", profile=profile).runs("methods")}
             for profile in ("quick", "full")}  # fmt: skip
    # On world facts a quick study traces only what its localizations are chosen from.
    assert world == {"quick": {"paths", "causal_tracing"}, "full": {"paths", *SCORED} - {REDRAWN}}


def test_fact_lookup_s_choice_by_other_probes_is_of_the_same_facts_and_asked_for_beside_it():
    found = dict(Study().lookup_variants)
    assert [columns["evidence"] for columns, _ in Study().runs("lookup_variants")] == list(found) == ["probe", "probe_variants"]
    assert found["probe"].id == Study().evidence["probe"].id
    assert found["probe_variants"].settings == replace(found["probe"].settings, method="probe_variants")
    assert found["probe_variants"].seconds == Study(profile="full").lookup_variants["probe_variants"].seconds > 0
    # Paths have no variants.
    assert list(Study(task="counterfact-editing").lookup_variants) == ["paths"]


def test_a_need_without_runs_is_one_line():
    with pytest.raises(ParameterError) as caught:
        Study().runs("everything")
    one_line(caught, "everything")


def test_the_relations_of_the_families_are_those_of_their_tables():
    assert {fact.relation for fact in athletes()} == {SPORT.key}
    assert {fact.relation for fact in world_facts()} == {relation.key for relation in WORLD}
