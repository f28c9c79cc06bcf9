"""Forgetting whole answers: one forget set an answer, a quarter held out, and nothing shared with the other parts."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechlib.checks import ParameterError
from mechlib.facts import Fact, FactError, FactSet, split_by_answer

ANSWERS = ("baseball", "basketball", "football")
NOTHING_ELSE = {"n_localize": 0, "n_test": 0, "seed": 0, "target": None}
counts = st.fixed_dictionaries({"n_localize": st.integers(0, 6), "n_test": st.integers(0, 6), "n_validate": st.integers(0, 6),
                                "seed": st.integers(0, 2**32)})  # fmt: skip


def known(per_answer, answers=ANSWERS):
    return FactSet("known", tuple(Fact(f"{answer} {n}", "sport", answer) for n in range(per_answer) for answer in answers))


def untargeted(facts):
    return sorted(replace(fact, target=None) for fact in facts)


@given(counts)
def test_what_is_left_of_an_answer_is_edited_but_for_a_quarter(asked):
    """Ten facts an answer, less what the other parts take."""
    parts = split_by_answer(known(10), n_sets=3, target=None, **asked)
    assert [(part.name, {fact.answer for fact in part}) for part in parts.forget] == [(f"forget {one}", {one}) for one in ANSWERS]
    assert [(part.name, {fact.answer for fact in part}) for part in parts.held_out] == [(f"held out {one}", {one}) for one in ANSWERS]
    for forget, held_out in zip(parts.forget, parts.held_out, strict=True):
        assert len(held_out) == -(-(len(forget) + len(held_out)) // 4)
    edited = [fact for part in (*parts.forget, *parts.held_out) for fact in part]
    assert untargeted(edited) == sorted(parts.maintain_train)
    sizes = {"n_test": len(parts.maintain_test), "n_localize": len(parts.localize), "n_validate": len(parts.validate)}
    assert {**asked, **sizes} == asked
    apart = [*edited, *parts.maintain_test, *parts.localize, *parts.validate]
    assert untargeted(apart) == sorted(known(10))
    assert [part.name for part in (parts.maintain_train, parts.maintain_test, parts.localize, parts.validate)] == [
        "maintain train", "maintain test", "localize", "validate",
    ]  # fmt: skip


@given(counts)
def test_the_parts_for_testing_and_localizing_are_balanced_over_the_answers(asked):
    parts = split_by_answer(known(10), n_sets=3, target=None, **asked)
    for part in (parts.maintain_test, parts.localize, parts.validate):
        number = Counter(fact.answer for fact in part)
        assert max(number[answer] for answer in ANSWERS) - min(number[answer] for answer in ANSWERS) <= 2, part.name


def test_facts_whose_answer_is_the_target_are_kept_and_all_others_get_it():
    parts = split_by_answer(known(10), n_sets=3, n_localize=3, n_test=3, n_validate=6, seed=1, target="golf")
    assert {fact.target for part in (*parts.forget, *parts.held_out, parts.validate) for fact in part} == {"golf"}
    assert {fact.target for part in (parts.maintain_train, parts.maintain_test, parts.localize) for fact in part} == {None}
    parts = split_by_answer(known(10), n_sets=3, n_localize=3, n_test=3, n_validate=6, seed=1, target="football")
    assert [part.name for part in parts.forget] == ["forget baseball", "forget basketball"]
    assert {fact.answer for fact in parts.validate} == {"baseball", "basketball"}
    assert any(fact.answer == "football" for fact in parts.maintain_train)


def test_the_first_answers_in_the_alphabet_are_forgotten():
    parts = split_by_answer(known(8), n_sets=2, **NOTHING_ELSE)
    assert [part.name for part in parts.forget] == ["forget baseball", "forget basketball"]
    assert [len(part) for part in (*parts.forget, *parts.held_out)] == [6, 6, 2, 2]
    assert [part.name for part in parts] == ["forget baseball", "forget basketball", "maintain train", "held out baseball",
                                             "held out basketball"]  # fmt: skip


def test_an_experiment_keeps_what_it_does_not_forget():
    parts = split_by_answer(known(8), n_sets=2, **NOTHING_ELSE)
    assert {fact.answer for fact in parts.retained(parts.maintain_train, 1)} == {"baseball", "football"}
    assert len(parts.retained(parts.maintain_train, 1)) == 16


def test_the_seed_decides_and_what_is_held_out_is_drawn():
    asked = {"n_sets": 3, "n_localize": 3, "n_test": 3, "target": None}
    assert split_by_answer(known(10), seed=3, **asked) == split_by_answer(known(10), seed=3, **asked)
    first, second = (split_by_answer(known(10), seed=seed, **asked) for seed in (3, 4))
    assert first.held_out != second.held_out and first.maintain_test.fingerprint != second.maintain_test.fingerprint
    # Held out are not the first of the stratified order that the other parts are taken from.
    order = [fact for fact in first.maintain_train if fact.answer == "baseball"]
    assert sorted(first.held_out[0]) != sorted(order[::4])


def test_a_subject_appears_once_and_one_that_is_excluded_not_at_all():
    twice = FactSet("known", (*known(8), Fact("baseball 0", "team", "football"), Fact("football 0", "team", "baseball")))
    parts = split_by_answer(twice, n_sets=3, exclude=["basketball 0"], **NOTHING_ELSE)
    subjects = [fact.subject for fact in parts.maintain_train]
    assert sorted(subjects) == sorted({fact.subject for fact in known(8)} - {"basketball 0"})
    assert {fact.relation for fact in parts.maintain_train} == {"sport"}


def test_four_facts_an_answer_and_two_answers_are_enough():
    parts = split_by_answer(known(4, ANSWERS[:2]), n_sets=2, **NOTHING_ELSE)
    assert [len(part) for part in (*parts.forget, *parts.held_out)] == [3, 3, 1, 1]


@pytest.mark.parametrize("seed", range(20))
def test_a_sport_of_one_player_is_refused_by_name_unless_another_part_holds_him(seed):
    facts = FactSet("known", (Fact("alone", "sport", "football"), *known(74, ANSWERS[:2])))
    try:
        parts = split_by_answer(facts, n_sets=2, n_localize=8, n_test=16, n_validate=8, seed=seed, target=None)
    except FactError as error:
        assert "knows 149 facts, of which 1 with the answer 'football' are left: too few to forget a whole answer" in str(error)
    else:
        assert any(fact.subject == "alone" for part in (parts.maintain_test, parts.localize, parts.validate) for fact in part)
        assert {fact.answer for part in parts.forget for fact in part} == set(ANSWERS[:2])


def test_one_set_is_possible_and_numbers_below_nothing_are_not():
    assert len(split_by_answer(known(4, ANSWERS[:2]), n_sets=1, **NOTHING_ELSE).forget) == 1
    for name, least in (("n_sets", 1), ("n_localize", 0), ("n_test", 0), ("n_validate", 0)):
        with pytest.raises(ParameterError, match=f"{name}={least - 1}"):
            split_by_answer(known(9), **{"n_sets": 1, **NOTHING_ELSE, name: least - 1})


@pytest.mark.parametrize(("facts", "asked", "left"), [
    (known(3), {}, "3 with the answer 'baseball'"), (known(4, ANSWERS[:1]), {}, "4 with the answer 'baseball'"),
    (known(4), {"n_test": 1}, "3 with"), (known(4), {"n_localize": 1}, "3 with"), (known(4), {"n_validate": 1}, "3 with"),
    (known(4, ANSWERS[:2]), {"target": "baseball"}, "4 with the answer 'basketball'"), (FactSet("known", ()), {}, None),
])  # fmt: skip
def test_too_few_facts_are_refused_with_their_number(facts, asked, left):
    said = f", of which {left}.* are left" if left else ""
    with pytest.raises(FactError, match=f"knows {len(facts)} facts{said}: too few to forget a whole answer.*KNOWN_THRESHOLD$"):
        split_by_answer(facts, n_sets=2, **{**NOTHING_ELSE, **asked})
