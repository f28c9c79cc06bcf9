"""Invented athletes: nobody real, balanced, always the same, and who of them is taught."""

from collections import Counter

import pytest

from mechlib.facts import athletes
from mechlib.facts.invented import invented_athletes, taught
from mechlib.facts.relations import demonstration_subjects


def test_none_of_them_is_real_or_has_a_real_one_s_surname():
    facts, real = invented_athletes(), athletes()
    surnames = {subject.split()[-1] for subject in (*real.subjects, *demonstration_subjects())}
    assert not {subject.split()[-1] for subject in facts.subjects} & surnames
    assert len({subject.split()[-1] for subject in facts.subjects}) == len(facts)


def test_every_sport_is_as_frequent_and_golf_is_nobody_s():
    counts = Counter(fact.answer for fact in invented_athletes())
    assert set(counts) == {"baseball", "basketball", "football"} and len(set(counts.values())) == 1


def test_a_seed_draws_other_sports_for_other_people():
    assert invented_athletes() == invented_athletes(0) != invented_athletes(1)
    first, second = ({fact.subject: fact.answer for fact in invented_athletes(seed)} for seed in (0, 1))
    common = first.keys() & second.keys()
    assert 0.2 < sum(first[name] == second[name] for name in common) / len(common) < 0.5


@pytest.mark.parametrize("count", [1, 40, 120])
def test_the_first_are_taught_and_one_in_five_never(count):
    facts = invented_athletes()
    told = taught(facts, count)
    assert len(told) == count and told == taught(facts, count + 7)[:count]
    assert all(fact not in told for fact in facts.facts[::5])
    assert len(taught(facts, len(facts))) == len(facts) - len(facts.facts[::5])
