"""Planting: only the site learns, and it learns what it is taught; runs about a forget set start from the model of its site."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_models import tiny_model

from mechlib.checks import ParameterError
from mechlib.components import ComponentError
from mechlib.edit.delta import FILE, Delta
from mechlib.evals.answers import answer_prompts
from mechlib.facts import FORMATS, FactSet, athletes, prompts
from mechlib.facts.fact import by_answer, split
from mechlib.facts.invented import taught
from mechlib.localize.localizer import Measured
from mechlib.localize.registry import localize
from mechlib.runs.knowledge import known_facts, unknown_facts
from mechlib.runs.spec import with_inputs
from mechlib.runs.specs import localizing as module
from mechlib.runs.stages.answers import KnownSettings, known
from mechlib.runs.stages.plant import PlantSettings, UndoneSettings, planted, planting, undone
from mechlib.runs.stages.settings import Subject
from mechlib.runs.study import Study
from mechlib.runs.work import Context, Result, Work

# Names that the tiny tokenizer can tell apart; what is real of them is nothing to a random model.
NAMES = FactSet("invented", tuple(fact for group in by_answer(athletes()).values() for fact in group[:8]))
LESSON = FORMATS["statement"]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    model, folder = tiny_model("gemma3"), tmp_path_factory.mktemp("plant")
    context = Context(model.spec, NAMES)
    context.model = model
    training = replace(planting(200, 0, "float32"), learning_rate=2e-2)
    settings = PlantSettings(Subject("tiny", "float32", "some", "some"), "early_mlps", 12, (LESSON,), "real", 0.0, training)
    result = planted(Work(context, settings, {"texts": Result([{"tokens": [1, 5, 6, 7]}])}, folder))
    return model, result, folder


def test_only_the_site_is_trained(done):
    model, result, folder = done
    site = localize("early_mlps", Measured(), model.architecture, 0, budget=0)
    names = {block.parameter for part in site.components for block in part.weights(model.architecture)}
    assert {block.parameter for block in Delta.load(folder / FILE).blocks} == names
    assert result.value["localization"]["components"] == [str(part) for part in site.components]


def test_the_lessons_are_learned_and_others_are_not_taught(done):
    model, result, folder = done
    after = Delta.load(folder / FILE).edited(model)
    lessons = [fact for place, fact in enumerate(NAMES) if place % 5][:12]
    told = answer_prompts(after, prompts(lessons, LESSON))
    before = answer_prompts(model, prompts(lessons, LESSON))
    first, last = result.rows[0]["forget"], result.rows[-1]["forget"]
    assert last < first - 2
    said = [-sum(row.log_probability for row in rows) / len(rows) for rows in (before, told)]
    assert said[0] == pytest.approx(first, rel=1e-3) and said[1] < said[0] - 2


def test_planting_is_undone_in_a_part_and_nowhere_else():
    """Against weights put together by hand: those of the model before in the part, those of the planted model in all others."""
    model = tiny_model("gemma3")
    context = Context(model.spec, NAMES)
    context.model = model
    arch, generator = model.architecture, torch.Generator().manual_seed(0)
    site = [*localize("all_mlps", Measured(), arch, 0, budget=0).components]
    change = Delta({block: torch.randn(block.bounds[1] - block.bounds[0], block.bounds[3] - block.bounds[2], generator=generator) / 10
                    for part in site for block in part.weights(arch)})  # fmt: skip
    settings = UndoneSettings(Subject("tiny", "float32", "some", "some"), 12, LESSON, ("early_mlps", "late_mlps"))

    class Planted(Result):
        delta = change

    found = undone(Work(context, settings, {"planted": Planted()}, Path()))
    asked = prompts(taught(NAMES, 12), LESSON)
    late = arch.n_layers - 1
    kept = {("nothing", "without"): range(arch.n_layers), ("layer 1", "without"): (0, *range(2, arch.n_layers)),
            ("early_mlps", "without"): range(1, arch.n_layers), ("early_mlps", "only"): (0,), ("late_mlps", "only"): (late,),
            ("everything", "without"): ()}  # fmt: skip
    for (part, how), layers in kept.items():
        twin = tiny_model("gemma3")
        with torch.no_grad():
            for block, own in ((block, change.blocks[block]) for one in site if one.layer in layers for block in one.weights(arch)):
                twin.parameters[block.parameter][block.index] += own
        expected = [row.log_probability for row in answer_prompts(twin, asked, whole=False)]
        got = [row["log_probability"] for row in found.rows if (row["part"], row["how"]) == (part, how)]
        assert got == pytest.approx(expected, abs=1e-4), (part, how)
    assert {row["part"] for row in found.rows if row["how"] == "only"} == {"early_mlps", "late_mlps"}
    whole = found.value["everything"]["norm"]
    assert whole == pytest.approx(change.norm) and found.value["nothing"] == {"layers": [], "norm": 0.0}
    assert sum(found.value[f"layer {number}"]["norm"] ** 2 for number in range(arch.n_layers)) == pytest.approx(whole**2)


def test_a_part_in_which_nothing_was_planted_is_left_out(done):
    model, result, folder = done
    context = Context(model.spec, NAMES)
    context.model = model
    settings = UndoneSettings(Subject("tiny", "float32", "some", "some"), 12, LESSON, ("early_mlps", "late_mlps"))
    found = undone(Work(context, settings, {"planted": replace(result, folder=folder)}, folder))
    assert set(found.value) == {"layer 0", "early_mlps", "everything", "nothing"}
    told = {(row["part"], row["how"]): row["log_probability"] for row in found.rows if row["subject"] == found.rows[0]["subject"]}
    assert told["layer 0", "without"] == told["everything", "without"] != told["nothing", "without"] == told["early_mlps", "only"]


def test_every_run_of_a_set_starts_from_the_model_of_its_site(monkeypatch):
    monkeypatch.setattr(module, "fingerprint", lambda spec: spec.name)
    study = Study(task="planted-facts", forget_sets=4)
    for number, site in enumerate(("early_mlps", "late_mlps") * 2):
        runs = with_inputs([study.answers("planted_site", number, 0, "question"), study.attack("relearning", None, number, 0, 0),
                            study.damage("other_site", number, 0), study.latent("fact_lookup", number, 0)])  # fmt: skip
        asked = [spec for spec in runs if spec.stage.name not in ("texts", "plant", "localize", "tune")]
        assert asked and all(spec.inputs["planted"].settings.site == site for spec in asked)
        # The random localization of a set reads no model, and the evidence of its own site.
        assert all(one.inputs["planted"].settings.site == site for one in study.localize("fact_lookup", number, 0).inputs.values())


def test_only_taught_facts_are_known_and_only_others_are_the_floor():
    """A guess that is right by luck is no knowledge, and a lesson that was not learned is no fact that nobody taught."""
    kinds = [(taught, correct, probability) for taught in (True, False) for correct, probability in ((True, 0.9), (False, 0.2))]
    rows = [{"relation": fact.relation, "subject": fact.subject, "open": False, "taught": told, "correct": correct, "probability": share}
            for fact, (told, correct, share) in zip(NAMES, kinds * 6, strict=True)]  # fmt: skip
    own = {row["subject"]: row for row in rows}
    sure, never = known_facts(NAMES, rows, 0.5), unknown_facts(NAMES, rows, len(NAMES), 0)
    assert len(sure) == len(never) == len(NAMES) // 4
    assert all(own[fact.subject]["taught"] and own[fact.subject]["correct"] for fact in sure)
    assert not any(own[fact.subject]["taught"] or own[fact.subject]["correct"] for fact in never)
    plain = [{name: value for name, value in row.items() if name != "taught"} for row in rows]
    assert len(known_facts(NAMES, plain, 0.5)) == len(NAMES) // 2


def test_rows_say_which_facts_were_taught(done):
    model, _, _ = done
    context = Context(model.spec, NAMES)
    context.model = model
    about = Subject("tiny", "float32", "some", "some")
    rows = known(Work(context, KnownSettings(about, LESSON, planted=12), {}, Path())).rows
    assert [row["subject"] for row in rows if row["taught"]] == [fact.subject for fact in taught(NAMES, 12)]
    assert not any("taught" in row for row in known(Work(context, KnownSettings(about, LESSON), {}, Path())).rows)


def test_a_study_of_planted_facts_says_how_many_were_taught(monkeypatch):
    monkeypatch.setattr(module, "fingerprint", lambda spec: spec.name)
    study = Study(task="planted-facts", profile="full")
    assert {run.settings.planted for run in study.by_site.values()} == {study.size.n_planted}
    assert Study().known.settings.planted is None


def test_the_planted_and_the_other_site_are_each_other_s_in_turn(monkeypatch):
    monkeypatch.setattr(module, "fingerprint", lambda spec: spec.name)
    study = Study(task="planted-facts", forget_sets=2)
    found = {(key, number): study.localize(key, number, 0).settings.method for key in ("planted_site", "other_site") for number in (0, 1)}
    assert found == {("planted_site", 0): "early_mlps", ("other_site", 0): "late_mlps", ("planted_site", 1): "late_mlps",
                     ("other_site", 1): "early_mlps"}  # fmt: skip
    assert study.localize("planted_site", 0, 0).id != study.localize("other_site", 1, 0).id  # its evidence is of another model
    assert study.edit("planted_site", 0, 0).id != study.edit("early_mlps", 1, 0).id


def test_each_set_has_a_place_of_its_own_where_facts_are_planted_at_many(monkeypatch):
    monkeypatch.setattr("mechlib.runs.specs.localizing.fingerprint", lambda spec: spec.name)
    study = Study(task="planted-places", profile="full", forget_sets=3)
    assert study.sites == tuple(study.plants) == tuple(study.by_site) == ("site_0_of_3", "site_1_of_3", "site_2_of_3")
    assert [run.settings.site for run in study.plants.values()] == list(study.sites)
    found = study.runs("found")
    assert {columns["localization"] for columns, _ in found} == {*study.size.seekers, "random_mlps"} and len(found) == 3 * 11
    for columns, run in found:
        assert {one.inputs["planted"].settings.site for one in run.inputs.values()} == {columns["site"]}
    # A model's facts are divided for itself, into the one set that it has, however many places there are.
    assert study.splits.n_sets == 1 and {study.about(number).forget_set for number in range(3)} == {0}
    assert len({study.answers(None, number, 0, "question").id for number in range(3)}) == 3
    drawn = [run.settings.seed for columns, run in found if columns["localization"] == "random_mlps"]
    assert len({*drawn}) == 3
    assert Study(task="planted-places", forget_sets=2, divided_sets=3).sites == study.sites
    assert {columns["localization"] for columns, _ in Study(task="planted-facts").runs("found")} == {*Study().size.seekers}


def test_studies_without_planted_facts_start_from_no_plant(monkeypatch):
    monkeypatch.setattr(module, "fingerprint", lambda spec: spec.name)
    study = Study()
    runs = with_inputs([study.attack("relearning", "fact_lookup", 0, 0, 0)])
    assert not study.plants and all("planted" not in spec.inputs for spec in runs)
    with pytest.raises(ParameterError, match="planted_site"):
        Study(localizations=("planted_site",))


def test_a_site_needs_a_forget_set():
    with pytest.raises(ComponentError, match="early_mlps or late_mlps"):
        localize("planted_site", Measured(), tiny_model("gemma3").architecture, 0, budget=0)


@pytest.mark.parametrize(("layers", "early", "late"), [(18, range(3, 8), range(12, 17)), (32, range(5, 13), range(21, 29)),
                                                       (26, range(4, 11), range(17, 24)), (3, range(0, 1), range(2, 3))])  # fmt: skip
def test_sites_are_as_wide_and_apart_whatever_the_depth(layers, early, late):
    arch = replace(tiny_model("gemma3").architecture, n_layers=layers)
    for key, expected in (("early_mlps", early), ("late_mlps", late)):
        found = localize(key, Measured(), arch, 0, budget=0)
        assert [part.layer for part in found.components] == list(expected)


def test_planted_edits_hold_on_to_all_that_is_neither_edited_nor_tested(monkeypatch):
    monkeypatch.setattr(module, "fingerprint", lambda spec: spec.name)
    assert Study(task="planted-facts").edit("planted_site", 0, 0).settings.beside is True
    assert Study().edit("fact_lookup", 0, 0).settings.beside is None
    parts = split(athletes(), n_sets=3, set_size=16, n_localize=12, n_test=12, n_validate=6, seed=0)
    held = parts.beside(1)
    tried = {*parts.forget[1].subjects, *parts.maintain_test.subjects, *parts.validate.subjects}
    assert {fact.subject for fact in held} == {fact.subject for part in parts for fact in part} - tried
    assert len({fact.subject for fact in held}) == len(held) and not any(fact.target for fact in held)
