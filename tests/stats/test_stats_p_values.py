"""Exact tests against values computed by hand, by enumeration in fractions and by other libraries."""

import math
from fractions import Fraction
from itertools import product
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import permutation_test
from statsmodels.stats.multitest import multipletests

from mechlib.stats import ENOUGH_SETS, holm, least_p, set_interval, sign_flip

tenths = st.lists(st.integers(-20, 20), min_size=ENOUGH_SETS, max_size=9)
families = st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=6)


@pytest.mark.parametrize(
    ("gaps", "p"),
    [
        ([0.1, 0.2, 0.3, 0.1, 0.5, 0.1], 2 / 64),
        ([-1.0] * 8, 2 / 256),
        # The extreme two, and the two that flip nothing but the smallest gap.
        ([-0.1, 0.2, 0.4, 0.8, 1.6, 3.2], 4 / 64),
        ([0.0, 1.0, 1.0, 1.0, 1.0, 1.0], 4 / 64),
        ([0.0] * 6, 1.0),
        # These cancel, in exact arithmetic: every flip is as large.
        ([0.1, 0.2, -0.3, 0.1, 0.2, -0.3], 1.0),
    ],
)
def test_sign_flip_by_hand(gaps, p):
    assert sign_flip(gaps) == p


@given(tenths)
def test_sign_flip_counts_flips_as_exact_fractions_do(gaps):
    """Tenths have no exact binary form, so that ties must be found in spite of rounding."""
    exact = [Fraction(gap, 10) for gap in gaps]
    sums = [abs(sum(sign * gap for sign, gap in zip(signs, exact, strict=True))) for signs in product((1, -1), repeat=len(gaps))]
    assert sign_flip([gap / 10 for gap in gaps]) == sum(one >= abs(sum(exact)) for one in sums) / len(sums)


def test_sign_flip_is_scipys_permutation_test_where_nothing_ties():
    draw = np.random.default_rng(0)
    for size in (6, 8, 11):
        gaps = draw.normal(0.4, 1, size)
        found = permutation_test((gaps,), lambda x, axis: np.mean(x, axis=axis), permutation_type="samples", vectorized=True)
        assert sign_flip(gaps.tolist()) == pytest.approx(found.pvalue, abs=1e-12)


@given(tenths, st.randoms(use_true_random=False), st.floats(1e-6, 1e6))
def test_sign_flip_knows_no_order_no_direction_and_no_unit(gaps, generator, unit):
    p = sign_flip(gaps)
    assert sign_flip(generator.sample(gaps, len(gaps))) == sign_flip([-gap for gap in gaps]) == sign_flip([unit * gap for gap in gaps]) == p
    assert 2 / 2 ** len(gaps) <= p <= 1


def test_above_twenty_sets_flips_are_drawn_and_the_test_stays_valid():
    """24 gaps all one way: only the flip observed is as large, unless a drawn one flips none or all. The same each time."""
    gaps = [1.0 + 0.01 * number for number in range(24)]
    assert 2**-20 <= sign_flip(gaps) <= 4 * 2**-20
    # Of forty gaps no drawn flip is as large: what is left is the one observed.
    assert sign_flip([1.0 + 0.01 * number for number in range(40)]) == 2**-20
    draw = np.random.default_rng(5)
    mixed = draw.normal(0.3, 1, 22).tolist()
    exact = permutation_test((mixed,), lambda x, axis: np.mean(x, axis=axis), permutation_type="samples", vectorized=True,
                             n_resamples=200_000, rng=draw)  # fmt: skip
    assert sign_flip(mixed) == pytest.approx(exact.pvalue, abs=0.005)
    assert sign_flip(mixed) == sign_flip(mixed)


def test_up_to_twenty_sets_all_flips_are_taken():
    """Flips of powers of two sum to every odd number within their sum, once each: 2^19 + 2 of the 2^20 are 2^19 - 1 or more."""
    gaps = [2.0**power for power in range(20)]
    gaps[18] *= -1
    assert sum(gaps) == 2**19 - 1
    assert sign_flip(gaps) == (2**19 + 2) / 2**20
    assert least_p(gaps) == least_p([*gaps, 1.0, 1.0]) == 2 / 2**20
    assert least_p(gaps[:19]) == 2 / 2**19


def test_gaps_of_zero_raise_the_smallest_p_that_can_be_reached():
    assert least_p([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]) == 2 / 64 == sign_flip([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert least_p([0.0, 0.2, 0.0, -0.4, 0.5, 0.6, 0.1, 0.1]) == 2 / 64
    assert least_p([0.0, 1, 1, 1, 1, 1]) == sign_flip([0.0, 1, 1, 1, 1, 1]) == 4 / 64
    assert least_p([0.0] * 8) == sign_flip([0.0] * 8) == 1.0


@given(tenths)
def test_no_signs_of_the_same_gaps_give_less_than_the_smallest_p(gaps):
    assert least_p(gaps) == min(1.0, sign_flip([abs(gap) for gap in gaps])) <= sign_flip(gaps)


def test_the_interval_holds_the_shifts_that_the_test_does_not_reject():
    """Just within an end the test accepts the shift at 5 %, just beyond it does not: for six to eleven sets."""
    draw = np.random.default_rng(2)
    for size, level in product((6, 7, 8, 11), (0.90, 0.95)):
        gaps = draw.normal(0.2, 1, size)
        found = set_interval(gaps.tolist(), level)
        assert found.estimate == pytest.approx(gaps.mean())
        assert found.low < found.estimate < found.high
        for end, inside in ((found.low, 1), (found.high, -1)):
            assert sign_flip((gaps - end - 1e-9 * inside).tolist()) > 1 - level + 1e-12
            assert sign_flip((gaps - end + 1e-9 * inside).tolist()) <= 1 - level + 1e-12


def test_of_six_sets_the_interval_reaches_from_the_smallest_to_the_largest():
    gaps = [0.3, -0.1, 0.2, 0.5, 0.4, 0.1]
    assert (set_interval(gaps).low, set_interval(gaps).high) == pytest.approx((-0.1, 0.5))
    # At 90 % three of 64 subset means are left out at each end: -.1, .0 (-.1 and .1), and .05 (-.1 and .2).
    assert set_interval(gaps, 0.90).low == pytest.approx(0.05)


def test_where_no_shift_can_be_rejected_the_interval_has_no_ends():
    """Six sets give no p below 2/64: at that level both ends are there, above it neither."""
    gaps = [0.3, -0.1, 0.2, 0.5, 0.4, 0.1]
    just = set_interval(gaps, 1 - 2 / 64)
    assert (just.low, just.high) == pytest.approx((-0.1, 0.5))
    for level in (0.97, 0.99, 0.999):
        found = set_interval(gaps, level)
        assert (found.low, found.high, found.level) == (-math.inf, math.inf, level)
        assert found.estimate == pytest.approx(1.4 / 6)


def test_intervals_hold_the_truth_as_often_as_they_say():
    """600 studies of 8 sets that spread by .1 around .1: 95 % of them, give or take three standard errors."""
    draw = np.random.default_rng(0)
    held = [found.low <= 0.1 <= found.high for found in (set_interval(draw.normal(0.1, 0.1, 8).tolist()) for _ in range(600))]
    assert abs(np.mean(held) - 0.95) <= 3 * math.sqrt(0.05 * 0.95 / 600)


def test_an_interval_needs_enough_sets_and_numbers():
    with pytest.raises(ValueError, match="5 forget sets are fewer than 6"):
        set_interval([1.0] * 5)
    with pytest.raises(ValueError, match="not a finite number"):
        set_interval([1.0] * 6 + [math.nan])


def test_no_p_value_is_given_from_few_sets_or_from_no_numbers():
    with pytest.raises(ValueError, match="5 forget sets are fewer than 6"):
        sign_flip([1.0] * (ENOUGH_SETS - 1))
    for broken in (math.nan, math.inf):
        with pytest.raises(ValueError, match="not a finite number"):
            sign_flip([1.0] * 6 + [broken])


def test_holm_by_hand():
    """Sorted .01, .02, .03, .40 times 4, 3, 2, 1: .04, .06, .06, .40; in the order given."""
    adjusted = holm({"c": 0.03, "d": 0.40, "a": 0.01, "b": 0.02})
    assert list(adjusted) == ["c", "d", "a", "b"]
    assert adjusted == pytest.approx({"a": 0.04, "b": 0.06, "c": 0.06, "d": 0.40})
    assert holm({"alone": 0.03}) == {"alone": 0.03}
    assert holm({"a": 0.8, "b": 0.9}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


@patch("gc.collect", lambda: 0)  # statsmodels collects garbage at every call, which takes long beside torch
@given(families)
def test_holm_is_that_of_statsmodels(p_values):
    assert holm(p_values) == dict(zip(p_values, multipletests([*p_values.values()], method="holm")[1], strict=True))


@given(families, st.randoms(use_true_random=False))
def test_holm_lies_between_no_adjustment_and_bonferroni_and_keeps_ranks(p_values, generator):
    adjusted = holm(p_values)
    assert all(p <= adjusted[name] <= min(1, len(p_values) * p) + 1e-12 for name, p in p_values.items())
    ranked = sorted(p_values, key=p_values.__getitem__)
    assert [adjusted[name] for name in ranked] == sorted(adjusted.values())
    assert holm({name: p_values[name] for name in generator.sample(ranked, len(ranked))}) == pytest.approx(adjusted)


@pytest.mark.parametrize("p", [-0.01, 1.01, math.nan])
def test_holm_refuses_what_is_no_p_value(p):
    with pytest.raises(ValueError, match="not within"):
        holm({"a": 0.5, "b": p})
