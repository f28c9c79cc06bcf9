"""From paired values to a verdict: the rule, the family's adjustment, and how often it errs."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechlib.stats import ENOUGH_SETS, Comparison, Interval, clustered, compare, holm, holm_adjusted, least_p, set_interval, sign_flip

OPPOSITE = {"supported": "contradicted", "contradicted": "supported"}
values = st.floats(-1, 1)
two_arms = st.integers(1, 8).flatmap(
    lambda sets: st.lists(st.lists(st.tuples(values, values), min_size=1, max_size=5), min_size=sets, max_size=sets)
)


def arms(pairs):
    """Lists of pairs, one list a forget set, as two arms."""
    return tuple({number: [pair[arm] for pair in facts] for number, facts in enumerate(pairs)} for arm in range(2))


def noisy(gap, seed=0, sets=8, facts=16, spread=0.3):
    draw = np.random.default_rng(seed)
    second = {number: draw.random(facts).tolist() for number in range(sets)}
    return {number: [value + draw.normal(gap, spread) for value in row] for number, row in second.items()}, second


def test_a_comparison_bundles_what_its_parts_say():
    first, second = noisy(0.2)
    found = compare(first, second, "higher", margin=0.05)
    gaps = [float(np.mean(first[key]) - np.mean(second[key])) for key in first]
    assert found.p == found.adjusted == sign_flip(gaps)
    assert found.least == least_p(gaps)
    for one, level in ((found.difference, 0.95), (found.narrow, 0.90)):
        expected = set_interval(gaps, level)
        assert (one.estimate, one.low, one.high, one.level) == pytest.approx((expected.estimate, expected.low, expected.high, level))
    assert (found.n_sets, found.n_facts, found.better, found.margin) == (8, 128, "higher", 0.05)
    assert found.difference.low <= found.narrow.low < found.narrow.high <= found.difference.high


def test_what_is_not_asked_for_is_a_margin_of_a_tenth_and_a_family_of_one():
    for sets in (8, ENOUGH_SETS - 1):
        found = compare(*noisy(0.2, sets=sets), "higher")
        assert (found.margin, found.family) == (0.10, 1)


def test_verdicts_of_clear_cases():
    assert compare(*noisy(0.5), "higher").verdict == "supported"
    assert compare(*noisy(0.5), "lower").verdict == "contradicted"
    assert compare(*noisy(0.0, spread=0.05), "lower").verdict == "equivalent"
    assert compare(*noisy(0.0, spread=2.0), "lower").verdict == "undecided"


def test_few_sets_give_no_p_and_their_interval_is_over_facts():
    first, second = noisy(0.5, sets=ENOUGH_SETS - 1)
    few = compare(first, second, "higher")
    assert (few.verdict, few.p, few.least, few.adjusted, few.narrow, few.equivalent) == ("no inference", None, None, None, None, False)
    assert few.difference == clustered({key: np.subtract(first[key], second[key]).tolist() for key in first})
    assert not compare(*noisy(0.0, spread=0.05, sets=ENOUGH_SETS - 1), "higher").equivalent


@pytest.mark.parametrize(
    ("estimate", "narrow", "adjusted", "least", "says"),
    [
        (0.2, (0.15, 0.28), 0.05, 0.01, "supported"),
        (-0.2, (-0.28, -0.15), 0.05, 0.01, "contradicted"),
        (0.2, (0.15, 0.28), 0.051, 0.01, "undecided"),
        (0.2, (0.15, 0.28), 0.051, 0.03, "undecidable"),
        (0.0, (-0.06, 0.09), 0.50, 0.01, "equivalent"),
        (0.0, (-0.06, 0.09), 0.50, 0.06, "equivalent"),
        (0.0, (-0.06, 0.10), 0.50, 0.01, "undecided"),
        (0.0, (-0.10, 0.06), 0.50, 0.025, "undecided"),
        # Real but within the margin: a direction where the family allows it, else equivalence.
        (0.04, (0.02, 0.07), 0.04, 0.01, "supported"),
        (0.04, (0.02, 0.07), 0.06, 0.01, "equivalent"),
    ],
)
def test_the_rule(estimate, narrow, adjusted, least, says):
    """In a family of two, the smallest p counts twice."""
    wide = Interval(estimate, -1, 1)
    found = Comparison(wide, Interval(estimate, *narrow, level=0.90), 0.01, least, adjusted, 8, 96, "higher", 0.10, family=2)
    assert found.verdict == says
    assert replace(found, better="lower").verdict == OPPOSITE.get(says, says)
    assert replace(found, adjusted=None).verdict == "no inference"


@given(two_arms, st.sampled_from(["higher", "lower"]))
def test_swapping_the_arms_mirrors_all_but_p_and_number(pairs, better):
    first, second = arms(pairs)
    there, back = compare(first, second, better), compare(second, first, better)
    one, other = there.difference, back.difference
    assert (other.estimate, other.low, other.high) == pytest.approx((-one.estimate, -one.high, -one.low), abs=1e-9)
    assert (back.p, back.least, back.n_sets, back.n_facts) == (there.p, there.least, there.n_sets, there.n_facts)
    if not there.equivalent:
        assert back.verdict == OPPOSITE.get(there.verdict, there.verdict)


@given(two_arms, st.randoms(use_true_random=False))
def test_the_order_of_facts_and_sets_changes_neither_estimate_nor_p(pairs, generator):
    shuffled = [generator.sample(facts, len(facts)) for facts in generator.sample(pairs, len(pairs))]
    there, here = (compare(*arms(one), "higher") for one in (pairs, shuffled))
    assert here.difference.estimate == pytest.approx(there.difference.estimate, abs=1e-9)
    assert here.p == there.p
    first, second = arms(pairs)
    assert compare({key: first[key] for key in generator.sample(sorted(first), len(first))}, second, "higher") == there


def test_a_family_adjusts_over_all_its_comparisons_and_verdicts_follow():
    """Eight sets all one way give 2/256, and that is the least they can give: a family of seven cannot reach .05."""
    clear = compare(*noisy(0.5), "higher")
    assert clear.p == clear.least == 2 / 256
    same = {f"arm {number}": clear for number in range(6)}
    assert {one.adjusted for one in holm_adjusted(same).values()} == {12 / 256}
    assert {one.verdict for one in holm_adjusted(same).values()} == {"supported"}
    crowded = holm_adjusted({**same, "seventh": clear})
    assert {one.adjusted for one in crowded.values()} == {14 / 256}
    assert {one.verdict for one in crowded.values()} == {"undecidable"}
    assert {one.p for one in crowded.values()} == {2 / 256}


def test_a_family_leaves_alone_what_has_no_p_value():
    members = {"clear": compare(*noisy(0.5), "higher"), "few": compare(*noisy(0.5, sets=2), "higher"),
               "none": compare(*noisy(0.0, spread=2.0), "higher")}  # fmt: skip
    found = holm_adjusted(members)
    assert list(found) == list(members)
    assert (found["few"].adjusted, found["few"].verdict) == (None, "no inference")
    assert {found[name].family for name in members} == {2}
    tested = holm({name: members[name].p for name in ("clear", "none")})
    assert {name: found[name].adjusted for name in tested} == tested
    assert holm_adjusted(found) == found
    assert holm_adjusted({}) == {}


def test_zero_gaps_make_a_comparison_undecidable():
    """Six sets of which one has no gap at all: the smallest p is 4/64, whatever the rest says."""
    first = {number: [float(number > 0), 1.0] for number in range(6)}
    second = {number: [0.0, 1.0] for number in range(6)}
    found = compare(first, second, "higher")
    assert (found.p, found.least, found.verdict) == (4 / 64, 4 / 64, "undecidable")


def test_what_is_not_a_number_or_not_there_is_refused():
    for broken in ({0: [math.nan]}, {0: [math.inf]}):
        with pytest.raises(ValueError, match="not a finite number"):
            compare(broken, {0: [0.0]}, "higher")
    for empty in ({}, {0: []}, {0: [1.0], 1: []}):
        with pytest.raises(ValueError, match="no forget set, or one without facts"):
            compare(empty, empty, "higher")
    for second in ({1: [1.0, 2.0]}, {1: [1.0, 2.0], 3: [1.0]}, {1: [1.0], 2: [1.0]}, {}):
        with pytest.raises(ValueError, match="different forget sets or facts"):
            compare({1: [1.0, 2.0], 2: [1.0]}, second, "higher")
    with pytest.raises(ValueError, match="not positive"):
        compare({0: [1.0]}, {0: [1.0]}, "higher", margin=0.0)


def studies(draw, centre, number=400):
    """Eight sets of four facts; sets spread by .1 around a difference of ``centre``."""
    zero = {key: [0.0] * 4 for key in range(8)}
    return [({key: draw.normal(draw.normal(centre, 0.1), 0.02, 4).tolist() for key in range(8)}, zero) for _ in range(number)]


def test_two_equal_arms_are_told_apart_in_at_most_one_study_of_twenty():
    told = [compare(*study, "higher").verdict in ("supported", "contradicted") for study in studies(np.random.default_rng(1), 0.0)]
    assert 0 < np.mean(told) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


def test_arms_that_differ_by_the_margin_are_called_equivalent_in_at_most_one_study_of_twenty():
    """A bootstrap over eight sets would err in 8 to 11 of a hundred such studies."""
    wrong = [compare(*study, "higher").equivalent for study in studies(np.random.default_rng(2), 0.10)]
    assert np.mean(wrong) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)
