"""Facts besides an edit are about other relations and other subjects."""

from dataclasses import replace

import pytest
from tiny_models import tiny_model

from mechlib.evals.answers import answer_prompts
from mechlib.evals.general_facts import general_facts
from mechlib.facts import FORMATS, Fact, FactError, athletes, demonstration_subjects, prompts, world_facts

SHOWN = demonstration_subjects()
WORLD = [fact for fact in world_facts() if fact.relation in ("capital", "continent", "maker") and fact.subject not in SHOWN][::15]
MODEL = tiny_model("gemma3", world=True)


def test_general_facts_are_about_something_else():
    edited = [fact for fact in WORLD if fact.relation == "capital"][:1]
    subject = next(fact.subject for fact in WORLD if fact.relation == "maker")
    shown = Fact(sorted(SHOWN)[0], "maker", "Toyota")
    rows = general_facts(MODEL, [*WORLD, shown], FORMATS["statement"], [*edited, replace(WORLD[0], subject=subject, relation="capital")])
    expected = [fact for fact in WORLD if fact.relation != "capital" and fact.subject != subject]
    assert [(row.relation, row.subject) for row in rows] == [(fact.relation, fact.subject) for fact in expected]
    assert {row.relation for row in rows} == {"continent", "maker"}
    assert rows == answer_prompts(MODEL, prompts(expected, FORMATS["statement"]), group="general facts", whole=False)


def test_all_world_facts_are_general_where_sports_are_edited():
    rows = general_facts(MODEL, WORLD, FORMATS["statement"], athletes().facts[:3])
    assert [row.subject for row in rows] == [fact.subject for fact in WORLD]


def test_no_fact_besides_is_an_error():
    with pytest.raises(FactError, match="no fact is left that is about something else than sport"):
        general_facts(MODEL, athletes().facts[:3], FORMATS["statement"], athletes().facts[3:4])
