"""Dividing the facts a model knows: disjoint, balanced, seeded, and stable when a study grows."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechlib.facts import Fact, FactError, FactSet, split

ANSWERS = ("baseball", "basketball", "football")
seeds = st.integers(0, 2**32)


def known(per_answer, answers=ANSWERS):
    return FactSet("known", tuple(Fact(f"{answer} {n}", "sport", answer) for n in range(per_answer) for answer in answers))


@st.composite
def studies(draw):
    """Balanced facts and sizes that they suffice for."""
    sizes = {"n_sets": draw(st.integers(1, 5)), "set_size": draw(st.integers(1, 12))}
    sizes |= {"n_localize": draw(st.integers(0, 12)), "n_test": draw(st.integers(0, 12)), "seed": draw(seeds)}
    needed = (sizes["n_sets"] + 1) * sizes["set_size"] + sizes["n_localize"] + sizes["n_test"]
    return -(-needed // len(ANSWERS)) + draw(st.integers(0, 8)), sizes


@given(studies())
def test_the_parts_hold_every_known_fact_once(study):
    per_answer, sizes = study
    facts = known(per_answer)
    parts = split(facts, **sizes)
    held = [(fact.subject, fact.answer) for part in parts for fact in part]
    assert sorted(held) == sorted((fact.subject, fact.answer) for fact in facts)
    assert [len(part) for part in parts.forget] == [sizes["set_size"]] * sizes["n_sets"]
    assert (len(parts.localize), len(parts.maintain_test)) == (sizes["n_localize"], sizes["n_test"])
    assert len(parts.maintain_train) >= sizes["set_size"]


@given(studies())
def test_every_part_is_balanced_over_the_answers(study):
    per_answer, sizes = study
    for part in split(known(per_answer), **sizes):
        counts = Counter(fact.answer for fact in part)
        assert max(counts[answer] for answer in ANSWERS) - min(counts[answer] for answer in ANSWERS) <= 2, part.name


@given(studies())
def test_a_target_is_another_answer_and_each_other_one_equally_often(study):
    per_answer, sizes = study
    parts = split(known(per_answer), **sizes)
    for part in parts.forget:
        for answer in ANSWERS:
            targets = Counter(fact.target for fact in part if fact.answer == answer)
            assert set(targets) <= set(ANSWERS) - {answer}
            assert abs(targets.total() - 2 * max(targets.values(), default=0)) <= 1
    assert all(fact.target is None for part in (parts.maintain_train, parts.maintain_test, parts.localize) for fact in part)


@given(studies(), seeds)
def test_the_seed_decides(study, other):
    per_answer, sizes = study
    facts = known(per_answer + 20)
    assert split(facts, **sizes) == split(facts, **sizes)
    if other != sizes["seed"]:
        assert split(facts, **sizes) != split(facts, **{**sizes, "seed": other})


@given(studies(), st.randoms(use_true_random=False))
def test_the_order_of_the_table_does_not_matter(study, generator):
    per_answer, sizes = study
    facts = list(known(per_answer))
    shuffled = list(facts)
    generator.shuffle(shuffled)
    assert split(FactSet("known", tuple(shuffled)), **sizes) == split(FactSet("known", tuple(facts)), **sizes)


@given(studies(), st.integers(1, 4), st.integers(0, 9))
def test_the_first_sets_of_a_larger_study_are_those_of_a_smaller(study, more_sets, more_facts):
    per_answer, sizes = study
    larger = {**sizes, "n_sets": sizes["n_sets"] + more_sets, "n_localize": sizes["n_localize"] + more_facts}
    facts = known(per_answer + more_sets * sizes["set_size"] + more_facts)
    assert split(facts, **larger).forget[: sizes["n_sets"]] == split(facts, **sizes).forget


@given(studies(), st.data())
def test_excluded_subjects_appear_nowhere(study, data):
    per_answer, sizes = study
    facts = known(per_answer + 5)
    excluded = data.draw(st.sets(st.sampled_from(sorted(facts.subjects)), max_size=5))
    parts = split(facts, **sizes, exclude=[*excluded, "nobody"])
    assert {fact.subject for part in parts for fact in part} == facts.subjects - excluded


@given(studies())
def test_one_fact_too_few_is_an_error_that_counts(study):
    _, sizes = study
    needed = (sizes["n_sets"] + 1) * sizes["set_size"] + sizes["n_localize"] + sizes["n_test"]
    facts = known(needed).facts
    enough = FactSet("known", facts[: max(needed, 2)])
    assert sum(len(part) for part in split(enough, **sizes)) == len(enough)
    with pytest.raises(FactError, match=f"knows {needed - 1} facts .* need {needed}: ") as caught:
        split(FactSet("known", facts[: needed - 1]), **sizes)
    assert "\n" not in str(caught.value)


def test_one_answer_cannot_be_edited_into_another():
    with pytest.raises(FactError, match="1 answers"):
        split(known(40, ["golf"]), n_sets=1, set_size=2, n_localize=2, n_test=2, seed=0)


@given(studies(), seeds)
def test_of_several_facts_about_one_subject_the_first_is_used(study, seed):
    per_answer, sizes = study
    facts = known(per_answer)
    # The same subjects in another relation: edited in one and kept in the other they would tell nothing.
    others = tuple(Fact(fact.subject, "team", f"team {number % 3}") for number, fact in enumerate(facts))
    parts = split(FactSet("known", (*facts, *others)), **{**sizes, "seed": seed})
    held = [fact for part in parts for fact in part]
    assert sorted(fact.subject for fact in held) == sorted(facts.subjects)
    assert {fact.relation for fact in held} == {"sport"}
    assert parts == split(facts, **{**sizes, "seed": seed})


@given(seeds)
def test_one_football_player_among_others_is_in_one_part_and_edited_to_what_others_play(seed):
    facts = FactSet("known", (Fact("alone", "sport", "football"), *known(74, ANSWERS[:2]).facts[:147]))
    parts = split(facts, n_sets=2, set_size=16, n_localize=8, n_test=16, n_validate=8, seed=seed)
    (his,) = [part for part in parts if "alone" in part.subjects]
    (fact,) = [fact for fact in his if fact.subject == "alone"]
    assert (fact.target in ANSWERS[:2]) if his in (*parts.forget, parts.validate) else fact.target is None
    assert sum(map(len, parts)) == 148 and [len(part) for part in parts.forget] == [16, 16]


def test_a_target_that_a_fact_brings_is_kept():
    facts = FactSet("known", tuple(Fact(f"{answer} {n}", "sport", answer, "golf") for n in range(20) for answer in ANSWERS))
    parts = split(facts, n_sets=2, set_size=6, n_localize=6, n_test=6, seed=0)
    assert {fact.target for part in parts for fact in part} == {"golf"}
