"""Intervals against hand values and symmetries, and verdicts that need enough forget sets."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechlib.stats import ENOUGH_SETS, Interval, at_chance, paired_difference, verdict, wilson

values = st.floats(-10, 10)
arms = st.dictionaries(st.integers(0, 20), st.lists(values, min_size=1, max_size=6), min_size=1, max_size=5)


def by_hand(successes, total):
    """Wilson's formula (1927) at 95 %."""
    z, share = 1.959964, successes / total
    middle = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    return middle - half, middle + half


def test_wilson_of_none():
    assert wilson(0, 16).high == pytest.approx(0.194, abs=5e-4)
    assert wilson(0, 8).high == pytest.approx(0.324, abs=5e-4)
    assert (wilson(0, 16).low, wilson(0, 8).estimate) == (0.0, 0.0)


def test_wilson_of_half_is_symmetrical():
    half = wilson(8, 16)
    assert half.estimate == 0.5
    assert half.low + half.high == pytest.approx(1.0)
    assert half.low == pytest.approx(0.280, abs=5e-4)


def test_wilson_without_trials_says_nothing():
    nothing = wilson(0, 0)
    assert math.isnan(nothing.estimate)
    assert (nothing.low, nothing.high) == (0.0, 1.0)


@given(st.integers(1, 2000), st.data())
def test_wilson_is_the_formula_mirrors_and_stays_within_bounds(total, data):
    successes = data.draw(st.integers(0, total))
    found, mirrored = wilson(successes, total), wilson(total - successes, total)
    assert (found.low, found.high) == pytest.approx(by_hand(successes, total), abs=1e-6)
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - found.high, 1 - found.low), abs=1e-9)
    assert 0 <= found.low <= found.estimate <= found.high <= 1 or (successes in (0, total) and found.high - found.low > 0)


@given(arms, st.integers(0, 5))
def test_equal_arms_differ_by_nothing(arm, seed):
    assert paired_difference(arm, arm, seed, draws=50) == Interval(0.0, 0.0, 0.0)


@given(arms, values)
def test_a_constant_difference_has_no_width(arm, gap):
    shifted = {key: [value + gap for value in row] for key, row in arm.items()}
    found = paired_difference(shifted, arm, draws=50)
    assert (found.estimate, found.low, found.high) == pytest.approx((gap, gap, gap), abs=1e-9)


@given(arms, st.randoms(use_true_random=False))
def test_the_order_of_facts_and_sets_does_not_change_the_estimate(arm, generator):
    other = {key: [value**2 for value in row] for key, row in arm.items()}
    orders = {key: generator.sample(range(len(row)), len(row)) for key, row in arm.items()}
    keys = generator.sample(sorted(arm), len(arm))
    first, second = ({key: [one[key][n] for n in orders[key]] for key in keys} for one in (arm, other))
    found = paired_difference(first, second, draws=2)
    assert found.estimate == pytest.approx(paired_difference(arm, other, draws=2).estimate, abs=1e-9)
    assert found.estimate == pytest.approx(np.mean([np.mean(arm[key]) - np.mean(other[key]) for key in arm]), abs=1e-9)


def test_swapping_the_arms_mirrors_the_interval():
    draw = np.random.default_rng(3)
    first, second = ({key: draw.random(8).tolist() for key in range(7)} for _ in range(2))
    there, back = paired_difference(first, second), paired_difference(second, first)
    assert (back.estimate, back.low, back.high) == pytest.approx((-there.estimate, -there.high, -there.low), abs=1e-9)
    assert there.low < there.estimate < there.high
    assert there == paired_difference(first, second)
    assert there != paired_difference(first, second, seed=1)


def test_sets_and_facts_within_them_both_widen_the_interval():
    zero = {key: [0.0] * 10 for key in range(8)}
    between = paired_difference({key: [float(key % 2)] * 10 for key in range(8)}, zero)
    within = paired_difference({key: [0.0, 1.0] * 5 for key in range(8)}, zero)
    assert (between.estimate, within.estimate) == (0.5, 0.5)
    # Means of 8 coin flips and of 80: standard errors .177 and .056.
    assert between.high - between.low == pytest.approx(2 * 1.96 * 0.177, rel=0.12)
    assert within.high - within.low == pytest.approx(2 * 1.96 * 0.056, rel=0.12)


@pytest.mark.parametrize("second", [{1: [1.0, 2.0]}, {1: [1.0, 2.0], 2: [1.0, 2.0]}, {1: [1.0, 2.0], 3: [1.0]}, {}])
def test_arms_must_pair_up(second):
    first = {1: [1.0, 2.0], 2: [1.0]}
    with pytest.raises(ValueError, match="different forget sets or facts"):
        paired_difference(first, second)


@pytest.mark.parametrize(
    ("low", "high", "better", "says"),
    [
        (0.1, 0.3, "higher", "supported"),
        (0.1, 0.3, "lower", "contradicted"),
        (-0.3, -0.1, "lower", "supported"),
        (-0.3, -0.1, "higher", "contradicted"),
        (-0.1, 0.3, "higher", "undecided"),
        (0.0, 0.3, "higher", "undecided"),
        (-0.3, 0.0, "lower", "undecided"),
        (0.0, 0.0, "lower", "undecided"),
    ],
)
def test_a_verdict_needs_an_interval_without_zero_and_enough_sets(low, high, better, says):
    difference = Interval((low + high) / 2, low, high)
    assert verdict(difference, ENOUGH_SETS, better) == says
    assert verdict(difference, ENOUGH_SETS - 1, better) == "no inference"
    assert ENOUGH_SETS == 6


def test_chance_is_a_matter_of_options_and_of_trials():
    assert at_chance(16, 64, chance=1 / 4)
    assert at_chance(4, 8, chance=1 / 4)
    assert not at_chance(60, 64, chance=1 / 4)
    # 40 of 64: the interval begins at .503, clearly above .35 but not above .60.
    assert not at_chance(40, 64, chance=1 / 4)
    assert at_chance(40, 64, chance=1 / 2)
    assert at_chance(0, 0, chance=1 / 4)
    # 29 and 30 of 64: the intervals begin at .337 and .352, on either side of 1/4 + .10.
    assert at_chance(29, 64, chance=1 / 4)
    assert not at_chance(30, 64, chance=1 / 4)


def test_an_interval_is_written_with_two_digits():
    assert str(Interval(0.5, -0.126, 1.0)) == "0.50 [-0.13, 1.00]"
