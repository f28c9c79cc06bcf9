"""Normalised recovery against hand values, its invariances, and where it is undefined."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechlib.stats import LEAST_GAP, recovery

scales, shifts = st.floats(1, 10), st.floats(-5, 5)


def constant(value, facts=4, sets=6):
    """The same value for every fact of every set."""
    return {number: [value] * facts for number in range(sets)}


def noisy(mean, spread, seed, facts=16, sets=8):
    draw = np.random.default_rng(seed)
    return {number: draw.normal(mean, spread, facts).tolist() for number in range(sets)}


def test_recovery_by_hand_is_a_ratio_of_means_over_sets():
    """Means over sets: attacked (.3 + .6) / 2, null (.1 + .2) / 2, reference (.9 + .6) / 2; so .3 / .6."""
    attacked, reference = {0: [0.3], 1: [0.4, 0.8]}, {0: [0.9], 1: [0.6, 0.6]}
    found = recovery(attacked, {0: [0.1, 0.1, 0.1], 1: [0.2]}, reference)
    assert found is not None
    assert found.estimate == pytest.approx(0.5)
    # Both draws of the first set: .2 / .8. Both of the second, with .8 thrice of four times: (.7 - .2) / (.6 - .2); 4 times is too rare.
    assert (found.low, found.high) == pytest.approx((0.25, 1.25))
    assert found.level == 0.95


def test_what_does_not_vary_has_no_width():
    found = recovery(constant(0.4), constant(0.2, facts=9), constant(0.8))
    assert found is not None
    assert (found.estimate, found.low, found.high) == pytest.approx((1 / 3, 1 / 3, 1 / 3))


def test_an_attack_that_brings_all_back_recovers_one_in_every_draw():
    reference = noisy(0.8, 0.2, seed=1)
    found = recovery(reference, noisy(0.2, 0.2, seed=2), reference, draws=500)
    assert found is not None
    assert (found.estimate, found.low, found.high) == pytest.approx((1.0, 1.0, 1.0))


def test_never_known_facts_are_drawn_apart_from_the_edited_ones():
    """What the attack teaches by itself recovers nothing, up to sampling."""
    null = noisy(0.2, 0.2, seed=2)
    found = recovery(null, null, noisy(0.9, 0.1, seed=3))
    assert found is not None
    assert found.estimate == 0.0
    assert -0.2 < found.low < 0 < found.high < 0.2


@given(scales, shifts)
def test_recovery_has_no_unit(scale, shift):
    arms = [noisy(0.5, 0.3, seed=1), noisy(0.2, 0.1, seed=2), noisy(0.9, 0.1, seed=3)]
    moved = [{key: [scale * value + shift for value in row] for key, row in arm.items()} for arm in arms]
    there, here = recovery(*arms, draws=200), recovery(*moved, draws=200)
    assert there is not None and here is not None
    assert (here.estimate, here.low, here.high) == pytest.approx((there.estimate, there.low, there.high), abs=1e-9)


def test_sets_are_drawn_for_all_three_together():
    """Each set has its own level, which cancels only if a draw takes the same sets for all."""
    level = {number: 10.0 * number for number in range(6)}
    arms = [{number: [level[number] + height] * 4 for number in level} for height in (0.5, 0.0, 1.0)]
    found = recovery(*arms)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.5, 0.5))


def test_recovery_is_undefined_where_there_is_little_to_recover():
    assert LEAST_GAP == 0.2
    assert recovery(constant(0.3), constant(0.25), constant(0.25 + 0.19)) is None
    assert recovery(constant(0.3), constant(0.5), constant(0.2)) is None
    assert recovery(constant(0.3), constant(0.25), constant(0.25 + 0.21)) is not None


def test_draws_without_a_denominator_leave_the_interval_without_an_end():
    """Means far apart, yet each draw of facts may turn them around: a ratio would change sign."""
    found = recovery(noisy(0.3, 0.1, 1, sets=2, facts=4), noisy(0.2, 3.0, 2, sets=2, facts=4), noisy(1.5, 3.0, 2, sets=2, facts=4))
    assert found is not None
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert math.isfinite(found.estimate)


def test_draws_without_a_denominator_count_at_both_ends_and_harm_little_where_they_are_rare():
    """A set with nothing to recover is all that is drawn in a quarter of the draws of two sets, and in 8 ** -8 of those of eight."""
    two = recovery(constant(0.1, sets=2), constant(0.0, sets=2), {0: [1.0] * 4, 1: [0.0] * 4})
    assert two is not None and (two.low, two.high) == (-math.inf, math.inf)
    eight = recovery(constant(0.1, sets=8), constant(0.0, sets=8), {number: [float(number > 0)] * 4 for number in range(8)})
    assert eight is not None
    assert eight.estimate == pytest.approx(0.1 * 8 / 7)
    # 0.1 / (1 - share of empty draws): none, and three or four of eight.
    assert eight.low == pytest.approx(0.1)
    assert 0.1 * 8 / 5 - 1e-9 <= eight.high <= 0.1 * 8 / 4 + 1e-9


def test_where_the_denominator_is_fixed_recovery_is_a_mean_that_is_resampled():
    """Against the same scheme as a plain loop: sets are drawn, then facts of each."""
    attacked, null = noisy(0.6, 0.3, seed=1), constant(0.0, facts=16, sets=8)
    found = recovery(attacked, null, constant(1.0, facts=16, sets=8))
    draw, sets = np.random.default_rng(1), [np.array(row) for row in attacked.values()]
    means = [np.mean([draw.choice(sets[n], 16).mean() for n in draw.integers(8, size=8)]) for _ in range(4000)]
    assert found is not None
    assert found.estimate == pytest.approx(np.mean(sets))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=6e-3)


@pytest.mark.parametrize(
    ("null", "reference"),
    [(constant(0.1, sets=5), constant(0.9)), (constant(0.1), constant(0.9, sets=5)), (constant(0.1), constant(0.9, facts=3)),
     (constant(math.nan), constant(0.9)), (constant(0.1, facts=0), constant(0.9))],
)  # fmt: skip
def test_recovery_refuses_arms_that_do_not_belong_together(null, reference):
    with pytest.raises(ValueError, match="forget set|finite"):
        recovery(constant(0.5), null, reference)
