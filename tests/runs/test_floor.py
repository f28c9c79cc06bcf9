"""Never-known facts that are edited beside a forget set: who they are, that they are edited, and that they are asked apart."""

from pathlib import Path

import pytest
from known_facts import ABOUT, FACTS, KNOW, PARTS
from tiny_models import tiny_model

from mechlib.components import Component, Localization
from mechlib.edit.config import EditConfig
from mechlib.runs.knowledge import Floor, floor_facts, unknown_facts
from mechlib.runs.profiles import PROFILES
from mechlib.runs.stages import edit as editing
from mechlib.runs.stages.answers import AnswerSettings, answers
from mechlib.runs.stages.edit import EditSettings, edited
from mechlib.runs.study import Study
from mechlib.runs.tasks import TASKS
from mechlib.runs.work import Context, Result, Work

FLOOR = Floor(6, 11)


@pytest.fixture(scope="module")
def model():
    return tiny_model("gemma3")


def work(model, settings, **inputs):
    context = Context(model.spec, FACTS)
    context.model = model
    return Work(context, settings, {"known": KNOW, **inputs}, Path())


def test_they_were_never_known_and_have_another_answer_to_learn():
    found = floor_facts(FACTS, KNOW.rows, FLOOR, ())
    assert [fact.subject for fact in found] == [fact.subject for fact in unknown_facts(FACTS, KNOW.rows, 6, 11)]
    assert all(fact.target not in (None, fact.answer) for fact in found) and len({fact.subject for fact in found}) == 6
    wrong = {row["subject"] for row in KNOW.rows if not row["correct"] and row["probability"] < 0.5}
    assert {fact.subject for fact in found} <= wrong
    assert floor_facts(FACTS, KNOW.rows, Floor(6, 12), ()) != found


def test_nothing_about_an_edited_subject_is_among_them():
    first = floor_facts(FACTS, KNOW.rows, FLOOR, ())[0].subject
    assert first not in {fact.subject for fact in floor_facts(FACTS, KNOW.rows, FLOOR, (first,))}


def test_they_are_edited_with_the_set(model, monkeypatch):
    seen = {}

    class Stop(Exception):
        pass

    def caught(_work, _model, _localization, forget, retain, *_rest):
        seen.update(forget=[one.fact for one in forget], retain=[one.fact for one in retain])
        raise Stop

    monkeypatch.setattr(editing, "trained", caught)
    where = Localization.of("x", [Component(1, "mlp")], model.architecture)
    inputs = {"localize": Result(value=where.to_json()), "texts": Result([{"tokens": [1, 2, 3]}])}
    for floor in (FLOOR, None):
        with pytest.raises(Stop):
            edited(work(model, EditSettings(ABOUT, (0, 1), EditConfig(), floor), **inputs))
        beside = floor_facts(FACTS, KNOW.rows, floor, PARTS.forget[1].subjects) if floor else ()
        assert seen["forget"] == [*PARTS.forget[1], *beside]
        assert not set(seen["retain"]) & set(seen["forget"])


def test_they_are_asked_apart_from_the_unknown_and_from_the_set(model):
    asked = AnswerSettings(ABOUT, ("forget", "floor", "unknown"), n_unknown=5, seed=FLOOR.seed, floor=FLOOR)
    groups = {}
    for row in answers(work(model, asked)).rows:
        groups.setdefault(row["group"], []).append(row["subject"])
    assert {group: len(found) for group, found in groups.items()} == {"forget": 7, "floor": 6, "unknown": 5}
    assert len({subject for found in groups.values() for subject in found}) == 18
    assert groups["floor"] == [fact.subject for fact in floor_facts(FACTS, KNOW.rows, FLOOR, PARTS.forget[1].subjects)]


@pytest.mark.parametrize("task", TASKS)
def test_only_a_set_that_gets_other_answers_at_once_has_a_floor(task):
    alone = task in ("sports-athlete-editing", "counterfact-editing", "planted-facts", "planted-everywhere", "planted-places")
    assert (Study(task=task).floor(0, 0) is not None) == alone
    assert Study(task=task, profile="paper").floor(0, 0) is None
    if alone:
        study = Study(task=task, profile="full")
        assert study.floor(3, 0).count == PROFILES["full"].n_floor and study.floor(3, 0).seed != study.floor(4, 0).seed
        assert study.edit("fact_lookup", 3, 0).settings.floor == study.attack("relearning", None, 3, 0, 0).settings.asked.floor
