"""Proportions with Wilson's interval, against hand values and symmetries."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from mechlib.stats import CHANCE_MARGIN, Interval, at_chance, wilson


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


@pytest.mark.parametrize("level", [0.5, 0.90, 0.99])
def test_wilson_at_other_levels_is_scipys(level):
    found = wilson(3, 10, level)
    expected = binomtest(3, 10).proportion_ci(level, "wilson")
    assert (found.low, found.high, found.level) == pytest.approx((expected.low, expected.high, level))
    assert (wilson(3, 10).level, wilson(0, 0, level).level, Interval(0.5, 0.4, 0.6).level) == (0.95, level, 0.95)


def test_an_interval_holds_its_estimate_whatever_is_rounded():
    """Near its ends the formula is a difference of nearly equal numbers, and may come out beyond the share itself."""
    for total in (7, 7.4482006116248956, 46.38119643122799, 49.870496789460546, 1000):
        for successes in (0.0, *(total * 10.0**-power for power in range(1, 20))):
            for found in (wilson(successes, total), wilson(total - successes, total)):
                assert 0 <= found.low <= found.estimate <= found.high <= 1
    few = wilson(1.752550450023204e-16, 46.38119643122799)
    assert few.low <= few.estimate


def test_chance_is_a_matter_of_options_and_of_trials():
    assert at_chance(wilson(16, 64), chance=1 / 4)
    assert at_chance(wilson(4, 8), chance=1 / 4)
    assert not at_chance(wilson(60, 64), chance=1 / 4)
    # 40 of 64: the interval begins at .503, clearly above .35 but not above .60.
    assert not at_chance(wilson(40, 64), chance=1 / 4)
    assert at_chance(wilson(40, 64), chance=1 / 2)
    assert at_chance(wilson(0, 0), chance=1 / 4)
    # 29 and 30 of 64: the intervals begin at .337 and .352, on either side of 1/4 + .10.
    assert at_chance(wilson(29, 64), chance=1 / 4)
    assert not at_chance(wilson(30, 64), chance=1 / 4)
    assert not at_chance(Interval(0.5, 1 / 4 + CHANCE_MARGIN, 0.6), 1 / 4)
    assert at_chance(Interval(0.5, 0.349, 0.6), 1 / 4) and not at_chance(Interval(0.5, 0.351, 0.6), 1 / 4)


def test_an_interval_is_written_with_two_digits():
    assert str(Interval(0.5, -0.126, 1.0)) == "0.50 [-0.13, 1.00]"
    assert Interval(0.5, -0.126, 1.0).text(3) == "0.500 [-0.126, 1.000]"
    assert str(Interval(0.5, -math.inf, math.inf)) == "0.50"
    assert str(Interval(0.5, 0.1, math.inf)) == str(Interval(0.5, -math.inf, 0.9)) == "0.50"
