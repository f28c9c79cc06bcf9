"""From paired values to a verdict: the rule, the family's adjustment, and how often the bootstrap's interval is right."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechlib.stats import (
    ENOUGH_SETS,
    Comparison,
    Interval,
    compare,
    equivalent,
    holm,
    holm_adjusted,
    paired_difference,
    sign_flip,
)

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
    found = compare(first, second, "higher", margin=0.05, seed=3)
    assert found.difference == paired_difference(first, second, seed=3)
    assert found.narrow == paired_difference(first, second, seed=3, level=0.90)
    assert found.p == found.adjusted == sign_flip([float(np.mean(first[key]) - np.mean(second[key])) for key in first])
    assert (found.n_sets, found.n_facts, found.better, found.margin) == (8, 128, "higher", 0.05)
    assert found.difference.low < found.narrow.low < found.narrow.high < found.difference.high


def test_verdicts_of_clear_cases():
    assert compare(*noisy(0.5), "higher").verdict == "supported"
    assert compare(*noisy(0.5), "lower").verdict == "contradicted"
    assert compare(*noisy(0.0, spread=0.05), "lower").verdict == "equivalent"
    assert compare(*noisy(0.0, spread=2.0), "lower").verdict == "undecided"
    few = compare(*noisy(0.5, sets=ENOUGH_SETS - 1), "higher")
    assert (few.verdict, few.p, few.adjusted, few.equivalent) == ("no inference", None, None, False)
    assert not compare(*noisy(0.0, spread=0.05, sets=ENOUGH_SETS - 1), "higher").equivalent


@pytest.mark.parametrize(
    ("wide", "narrow", "adjusted", "says"),
    [
        ((0.11, 0.30), (0.15, 0.28), 0.05, "supported"),
        ((-0.30, -0.11), (-0.28, -0.15), 0.05, "contradicted"),
        ((0.11, 0.30), (0.15, 0.28), 0.051, "undecided"),
        ((-0.01, 0.30), (0.02, 0.28), 0.01, "undecided"),
        ((-0.08, 0.12), (-0.06, 0.09), 0.50, "equivalent"),
        ((-0.08, 0.12), (-0.06, 0.10), 0.50, "undecided"),
        # Real but within the margin: a direction where the family allows it, else equivalence.
        ((0.01, 0.08), (0.02, 0.07), 0.04, "supported"),
        ((0.01, 0.08), (0.02, 0.07), 0.06, "equivalent"),
        ((0.11, 0.30), (0.15, 0.28), None, "undecided"),
    ],
)
def test_a_direction_needs_both_the_interval_and_the_adjusted_p(wide, narrow, adjusted, says):
    found = Comparison(Interval(0.0, *wide), Interval(0.0, *narrow, level=0.90), adjusted, adjusted, ENOUGH_SETS, 96, "higher", 0.10)
    assert found.verdict == says
    assert replace(found, better="lower").verdict == OPPOSITE.get(says, says)
    assert replace(found, n_sets=ENOUGH_SETS - 1).verdict == "no inference"


@given(two_arms, st.sampled_from(["higher", "lower"]))
def test_swapping_the_arms_mirrors_all_but_p_and_number(pairs, better):
    first, second = arms(pairs)
    there, back = compare(first, second, better, draws=100), compare(second, first, better, draws=100)
    for one, other in ((there.difference, back.difference), (there.narrow, back.narrow)):
        assert (other.estimate, other.low, other.high) == pytest.approx((-one.estimate, -one.high, -one.low), abs=1e-9)
    assert (back.p, back.n_sets, back.n_facts) == (there.p, there.n_sets, there.n_facts)
    # A bound of zero, give or take its last digit, excludes zero on one side only.
    if min(abs(there.difference.low), abs(there.difference.high)) > 1e-9 and not there.equivalent:
        assert back.verdict == OPPOSITE.get(there.verdict, there.verdict)


@given(two_arms, st.randoms(use_true_random=False))
def test_the_order_of_facts_and_sets_changes_neither_estimate_nor_p(pairs, generator):
    shuffled = [generator.sample(facts, len(facts)) for facts in generator.sample(pairs, len(pairs))]
    there, here = (compare(*arms(one), "higher", draws=10) for one in (pairs, shuffled))
    assert here.difference.estimate == pytest.approx(there.difference.estimate, abs=1e-9)
    assert here.p == there.p
    first, second = arms(pairs)
    other_order = {key: first[key] for key in generator.sample(sorted(first), len(first))}
    assert compare(other_order, second, "higher", draws=10) == there


def test_equivalence_is_a_90_percent_interval_within_the_margin():
    assert equivalent(Interval(0.0, -0.09, 0.09, 0.90))
    assert not equivalent(Interval(0.0, -0.10, 0.09, 0.90))
    assert not equivalent(Interval(0.0, -0.09, 0.10, 0.90))
    assert equivalent(Interval(0.0, -0.10, 0.09, 0.90), margin=0.11)
    assert not equivalent(Interval(0.2, 0.15, 0.25, 0.90))
    assert not equivalent(Interval(0.0, math.nan, math.nan, 0.90))
    with pytest.raises(ValueError, match="need a 90 % interval, not one of 95%"):
        equivalent(Interval(0.0, -0.01, 0.01))
    with pytest.raises(ValueError, match="not positive"):
        equivalent(Interval(0.0, -0.01, 0.01, 0.90), margin=0.0)


def test_a_family_adjusts_over_all_its_comparisons_and_verdicts_follow():
    """Eight sets all one way give 2/256; in a family of eight, eight times that: above .05."""
    clear = compare(*noisy(0.5), "higher")
    assert clear.p == 2 / 256
    same = {f"arm {number}": clear for number in range(6)}
    assert {one.adjusted for one in holm_adjusted(same).values()} == {12 / 256}
    assert {one.verdict for one in holm_adjusted(same).values()} == {"supported"}
    crowded = holm_adjusted({**same, "seventh": clear})
    assert {one.adjusted for one in crowded.values()} == {14 / 256}
    assert {one.verdict for one in crowded.values()} == {"undecided"}
    assert {one.p for one in crowded.values()} == {2 / 256}


def test_a_family_leaves_alone_what_has_no_p_value():
    members = {"clear": compare(*noisy(0.5), "higher"), "few": compare(*noisy(0.5, sets=2), "higher"),
               "none": compare(*noisy(0.0, spread=2.0), "higher")}  # fmt: skip
    found = holm_adjusted(members)
    assert list(found) == list(members)
    assert found["few"] == members["few"]
    tested = holm({name: members[name].p for name in ("clear", "none")})
    assert {name: found[name].adjusted for name in tested} == tested
    assert holm_adjusted(found) == found
    assert holm_adjusted({}) == {}


def test_what_is_not_a_number_or_not_there_is_refused():
    for broken in ({0: [math.nan]}, {0: [math.inf]}):
        with pytest.raises(ValueError, match="not a finite number"):
            compare(broken, {0: [0.0]}, "higher")
    for empty in ({}, {0: []}, {0: [1.0], 1: []}):
        with pytest.raises(ValueError, match="no forget set, or one without facts"):
            paired_difference(empty, empty)


def test_resampled_means_are_those_of_the_scheme_written_out():
    """The standard error of drawing sets and then facts, against the same scheme as a plain loop."""
    first, second = noisy(0.2, sets=6, facts=5)
    gaps = [np.subtract(first[key], second[key]) for key in first]
    draw = np.random.default_rng(1)
    means = [np.mean([draw.choice(gaps[n], 5).mean() for n in draw.integers(6, size=6)]) for _ in range(2000)]
    found = paired_difference(first, second)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.03)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """200 studies of 8 sets of 8 facts; sets spread by .1 around a difference of .1, facts by .3."""
    draw, zero = np.random.default_rng(0), {number: [0.0] * 8 for number in range(8)}
    studies = [{n: (draw.normal(0.1, 0.1) + draw.normal(0, 0.3, 8)).tolist() for n in range(8)} for _ in range(200)]
    found = [paired_difference(study, zero, draws=400) for study in studies]
    assert 0.88 <= np.mean([one.low <= 0.1 <= one.high for one in found]) <= 0.99


def test_two_equal_arms_are_told_apart_in_at_most_one_study_of_twenty():
    draw = np.random.default_rng(1)
    studies = [({n: draw.normal(draw.normal(0, 0.3), 0.1, 4).tolist() for n in range(8)}, {n: [0.0] * 4 for n in range(8)})
               for _ in range(300)]  # fmt: skip
    told = [compare(*study, "higher", draws=200).verdict in ("supported", "contradicted") for study in studies]
    assert 0 < np.mean(told) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)
