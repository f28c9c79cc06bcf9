"""The shipped table of world facts: what it holds, how it is worded, and where the false targets come from."""

import csv
from collections import Counter
from importlib import import_module

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mechlib.facts import FORMATS, demonstration_subjects, formats_of, prompt, split, world_facts
from mechlib.facts.relations import RELATIONS, WORLD

TABLE = world_facts()
PAIRS = {(fact.relation, fact.subject, fact.answer) for fact in TABLE}
each_relation = pytest.mark.parametrize("relation", WORLD, ids=[relation.key for relation in WORLD])


@pytest.fixture
def targets(tmp_path, monkeypatch):
    """Gives the targets that the facts of another table in the same place get."""

    def read(facts):
        with (tmp_path / "table.csv").open("w", encoding="utf-8", newline="") as lines:
            table = csv.writer(lines)
            table.writerows([("relation", "subject", "answer"), *facts])
        # The package's function of the same name hides the module.
        monkeypatch.setattr(import_module("mechlib.facts.counterfact"), "SHIPPED", tmp_path / "table.csv")
        return {(fact.relation, fact.subject): fact.target for fact in world_facts()}

    return read


def test_the_table_is_large_and_has_many_relations():
    counts = Counter(fact.relation for fact in TABLE)
    assert len(TABLE) >= 1900
    assert set(counts) == {relation.key for relation in WORLD}
    assert len(counts) == 15
    assert min(counts.values()) >= 75
    answers = Counter(relation for relation, _ in {(fact.relation, fact.answer) for fact in TABLE})
    assert min(answers.values()) >= 5


def test_subjects_are_enough_for_many_disjoint_forget_sets():
    # 24 sets of 16 and three parts of 64, were 45 % of the subjects known: one of a subject's facts is asked, and no demonstration.
    assert 0.45 * len(TABLE.subjects - demonstration_subjects()) >= 24 * 16 + 3 * 64


def test_no_subject_stands_twice_in_a_relation():
    assert len({(fact.relation, fact.subject) for fact in TABLE}) == len(TABLE)
    assert len(PAIRS) == len(TABLE)


def test_an_answer_is_one_word_that_nothing_gives_away():
    assert [fact for fact in TABLE if not fact.answer.isalpha()] == []
    assert [fact for fact in TABLE if fact.answer.lower() in fact.subject.lower()] == []
    worded = [(fact, text) for fact in TABLE for text in RELATIONS[fact.relation].wordings.values()]
    assert [fact for fact, text in worded if fact.answer.lower() in text.lower()] == []


def test_entries_have_no_stray_spaces():
    assert [fact for fact in TABLE for text in (fact.subject, fact.answer) if text != " ".join(text.split())] == []


def test_entries_are_typed_in_ascii():
    assert [fact for fact in TABLE if not f"{fact.subject}{fact.answer}".isascii()] == []


def test_no_subject_differs_from_another_by_its_spelling_alone():
    typed = Counter((fact.relation, "".join(filter(str.isalnum, fact.subject.casefold().removeprefix("the ")))) for fact in TABLE)
    assert [key for key, count in typed.items() if count > 1] == []


def test_an_answer_belongs_to_several_subjects():
    # But for capitals, each of which is the answer for one place.
    shared = Counter((fact.relation, fact.answer) for fact in TABLE if fact.relation != "capital")
    assert [key for key, count in shared.items() if count < 2] == []


@each_relation
def test_a_relation_has_a_statement_and_two_different_paraphrases(relation):
    assert set(relation.wordings) == {"statement", "paraphrase_1", "paraphrase_2"}
    assert len(set(relation.wordings.values())) == 3
    assert all(text.count("{}") == 1 and text == text.strip() for text in relation.wordings.values())
    assert relation.options is None


@each_relation
def test_a_relation_demonstrates_four_facts_of_the_table(relation):
    assert {(relation.key, subject, answer) for subject, answer in relation.demonstrations} <= PAIRS
    assert len(relation.demonstrations) == len({answer for _, answer in relation.demonstrations}) == 4


def test_every_fact_can_be_asked_in_every_format():
    for fact in TABLE:
        asked = [prompt(fact, FORMATS[form]) for form in formats_of(RELATIONS[fact.relation])]
        assert len({one.text for one in asked}) == len(asked) == 5
        assert all(one.open and one.options == (f" {fact.answer}", f" {fact.target}") for one in asked)
        assert all(one.text[one.subject_start : one.subject_end] == fact.subject for one in asked)


def test_a_target_is_another_answer_of_the_relation():
    answers = {relation.key: {fact.answer for fact in TABLE if fact.relation == relation.key} for relation in WORLD}
    assert [fact for fact in TABLE if fact.target == fact.answer or fact.target not in answers[fact.relation]] == []
    # Drawn, not dealt: every relation uses most of its answers.
    used = {relation: {fact.target for fact in TABLE if fact.relation == relation} for relation in answers}
    assert all(len(used[relation]) > 0.5 * len(answers[relation]) for relation in answers)


def test_targets_are_the_same_every_time():
    assert world_facts() == TABLE


def test_a_target_depends_on_nothing_but_its_fact_and_the_answers_of_its_relation(targets):
    first = {}
    for fact in TABLE:
        first.setdefault((fact.relation, fact.answer), fact)
    expected = {(fact.relation, fact.subject): fact.target for fact in TABLE}
    few = [fact for fact in reversed(list(first.values())) if fact.relation in ("maker", "capital")]
    fewer = targets([(fact.relation, fact.subject, fact.answer) for fact in few])
    assert fewer == {key: expected[key] for key in fewer}
    assert len(fewer) == len(few)


@settings(max_examples=10)
@given(st.integers(0, 2**32), st.integers(1, 32))
def test_what_demonstrates_is_in_no_part(seed, size):
    parts = split(TABLE, n_sets=3, set_size=size, n_localize=30, n_test=30, seed=seed, exclude=demonstration_subjects())
    subjects = [fact.subject for part in parts for fact in part]
    assert not set(subjects) & demonstration_subjects()
    # Of several facts about one subject there is one, so nothing that is kept is about what is edited.
    assert len(subjects) == len(set(subjects)) == len(TABLE.subjects - demonstration_subjects())
    assert [fact for part in parts.forget for fact in part if fact.target in (None, fact.answer)] == []
