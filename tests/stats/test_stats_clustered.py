"""Intervals whose unit is the forget set, against scipy, statsmodels and hand values."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from mechlib.stats import ENOUGH_SETS, clustered, crossed, share, wilson

shares = st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=8)


def test_the_mean_of_enough_sets_has_students_interval_over_their_means():
    draw = np.random.default_rng(0)
    values = {key: draw.normal(key, 1, 4 + key % 3).tolist() for key in range(8)}
    means = [np.mean(row) for row in values.values()]
    expected = scipy_stats.t.interval(0.90, 7, np.mean(means), scipy_stats.sem(means))
    found = clustered(values, 0.90)
    assert (found.estimate, found.low, found.high, found.level) == pytest.approx((np.mean(means), *expected, 0.90))


def test_the_mean_of_few_sets_has_an_interval_over_facts():
    values = {0: [1.0, 2.0, 4.0], 1: [0.0, 3.0, 2.0]}
    facts = [1.0, 2.0, 4.0, 0.0, 3.0, 2.0]
    found = clustered(values)
    assert (found.low, found.high) == pytest.approx(scipy_stats.t.interval(0.95, 5, np.mean(facts), scipy_stats.sem(facts)))
    two = clustered({0: [1.0, 2.0]})
    assert (two.low, two.high) == pytest.approx(scipy_stats.t.interval(0.95, 1, 1.5, 0.5))
    assert (clustered({0: [2.0]}).low, clustered({0: [2.0]}).high) == (-math.inf, math.inf)


def test_a_share_of_few_sets_is_wilsons_over_facts():
    values = {0: [1.0, 0.0, 0.5], 1: [0.0, 0.0, 0.0]}
    assert share(values) == wilson(1.5, 6)
    assert math.isnan(share({}).estimate)
    assert (share({0: []}).low, share({0: []}).high) == (0.0, 1.0)


def test_sets_that_agree_within_and_differ_between_are_worth_one_fact_each():
    """Of eight sets two are wholly right: facts tell nothing that their set does not, so 128 are worth about eight."""
    values = {key: [float(key < 2)] * 16 for key in range(8)}
    found = share(values)
    assert found.estimate == 0.25
    # p (1 - p) / (variance of sets / 8) is 7; times the squared ratio of Student's quantiles with 127 and 7 degrees.
    worth = 7 * (scipy_stats.t.ppf(0.975, 127) / scipy_stats.t.ppf(0.975, 7)) ** 2
    expected = wilson(0.25 * worth, worth)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.low < 0.07 and found.high > 0.60
    assert wilson(32, 128).high < 0.34


def test_a_share_that_no_set_leaves_still_has_an_interval():
    found = share({key: [0.0] * 16 for key in range(8)})
    assert (found.estimate, found.low) == (0.0, 0.0)
    assert wilson(0, 128).high < found.high < 0.06


@given(st.lists(shares, min_size=1, max_size=9))
def test_a_share_mirrors_stays_within_bounds_and_is_never_narrower_than_its_facts(rows):
    values = dict(enumerate(rows))
    found, mirrored = share(values), share({key: [1 - value for value in row] for key, row in values.items()})
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - found.high, 1 - found.low), abs=1e-9)
    assert 0 <= found.low <= found.estimate + 1e-9 and found.estimate - 1e-9 <= found.high <= 1
    n = sum(map(len, rows))
    alone = wilson(found.estimate * n, n)
    if len(rows) >= ENOUGH_SETS:
        assert found.high - found.low >= (alone.high - alone.low) - 1e-9


def test_crossed_sets_and_texts_against_the_variances_of_a_two_way_table():
    """Two sets by two texts: sets differ by 2, texts by 4, nothing is left in a cell."""
    found = crossed({0: [0.0, 4.0], 1: [2.0, 6.0]})
    assert found.estimate == 3.0
    # Sets' means 2 and 4 (variance 2, halved), texts' means 1 and 5 (variance 8, halved): 1 + 4.
    assert found.high - 3.0 == pytest.approx(scipy_stats.t.ppf(0.975, 1) * math.sqrt(5.0))
    # A cell left over adds to both, and is taken off once: sets 2 and 5, texts 1 and 6; residuals of 1/2, variance 1, over four cells.
    uneven = crossed({0: [0.0, 4.0], 1: [2.0, 8.0]})
    assert uneven.high - 3.5 == pytest.approx(scipy_stats.t.ppf(0.975, 1) * math.sqrt(4.5 / 2 + 12.5 / 2 - 1 / 4))


def test_the_same_texts_in_every_set_do_not_count_as_new_ones():
    """Eight texts that differ much, the same in each of eight sets: as uncertain as eight texts, not as 64."""
    texts = np.random.default_rng(1).normal(0.2, 0.5, 8)
    found = crossed({key: texts.tolist() for key in range(8)})
    assert (found.low, found.high) == pytest.approx(scipy_stats.t.interval(0.95, 7, texts.mean(), scipy_stats.sem(texts)))
    assert clustered({key: texts.tolist() for key in range(8)}).high == pytest.approx(texts.mean())


def test_crossed_intervals_hold_the_truth_as_often_as_they_say():
    draw, held = np.random.default_rng(3), []
    for _ in range(400):
        table = 0.3 + draw.normal(0, 0.2, (8, 1)) + draw.normal(0, 0.4, (1, 8)) + draw.normal(0, 0.1, (8, 8))
        found = crossed(dict(enumerate(table.tolist())))
        held.append(found.low <= 0.3 <= found.high)
    assert 0.95 - 3 * math.sqrt(0.05 * 0.95 / 400) <= np.mean(held) <= 1


def test_one_set_or_one_text_leaves_the_other_as_the_unit():
    row = [0.1, 0.5, 0.3]
    expected = scipy_stats.t.interval(0.95, 2, np.mean(row), scipy_stats.sem(row))
    for values in ({0: row}, {key: [value] for key, value in enumerate(row)}):
        assert (crossed(values).low, crossed(values).high) == pytest.approx(expected)
    assert crossed({0: [1.0]}).high == math.inf


@pytest.mark.parametrize("values", [{}, {0: []}, {0: [1.0], 1: [1.0, 2.0]}])
def test_crossed_needs_the_same_texts_everywhere(values):
    with pytest.raises(ValueError, match="the same texts"):
        crossed(values)
