"""Arms side by side, their mean over sets, and draws in two stages, by hand."""

import math

import numpy as np
import pytest

from mechlib.stats import recovery
from mechlib.stats.bootstrap import overall, redrawn, stacked


def test_arms_are_stacked_by_set_in_the_order_of_their_numbers():
    sets = stacked({7: [1.0, 2.0], 3: [3.0]}, {3: [6.0], 7: [4.0, 5.0]})
    assert [facts.tolist() for facts in sets] == [[[3.0, 6.0]], [[1.0, 4.0], [2.0, 5.0]]]
    # Sets count equally: (3 + 1.5) / 2 and (6 + 4.5) / 2.
    assert overall(sets).tolist() == [2.25, 5.25]


@pytest.mark.parametrize(("arms", "complaint"), [
    (({0: [1.0], 1: [1.0]}, {0: [1.0], 2: [1.0]}), "different forget sets or facts"),
    (({0: [1.0], 1: [1.0]}, {0: [1.0], 1: [1.0, 2.0]}), "different forget sets or facts"),
    (({0: [1.0], 1: [1.0]}, {0: [1.0], 1: [1.0]}, {0: [1.0]}), "different forget sets or facts"),
    (({},), "no forget set, or one without facts"),
    (({0: [1.0], 1: []},), "no forget set, or one without facts"),
    (({0: [1.0], 1: [1.0, math.nan]},), "not a finite number"),
    (({0: [1.0]}, {0: [-math.inf]}), "not a finite number"),
])  # fmt: skip
def test_arms_that_do_not_belong_together_are_refused(arms, complaint):
    with pytest.raises(ValueError, match=complaint):
        stacked(*arms)


def test_a_draw_takes_the_sets_that_are_chosen_and_facts_with_all_their_arms():
    """Facts of set 0 are 0 to 3, of set 1 ten times as far; the second arm is a hundred above the first."""
    firsts = {0: [0.0, 1.0, 2.0, 3.0], 1: [0.0, 10.0, 20.0, 30.0, 40.0]}
    sets = stacked(firsts, {key: [value + 100 for value in row] for key, row in firsts.items()})
    chosen = np.array([[0, 0, 0], [1, 1, 1], [0, 1, 0], [0, 1, 1]] * 500)
    drawn = redrawn(sets, chosen, np.random.default_rng(0))
    assert drawn.shape == (2000, 2)
    assert drawn[:, 1] - drawn[:, 0] == pytest.approx(100)
    # The sets' means are 1.5 and 20, and such a mean varies by 1.25 / 4 and 200 / 5; three are averaged.
    expected = [(1.5, 1.25 / 12), (20, 40 / 3), (23 / 3, (2 * 1.25 / 4 + 40) / 9), (41.5 / 3, (1.25 / 4 + 80) / 9)]
    for place, (mean, variance) in enumerate(expected):
        own = drawn[place::4, 0]
        assert own.mean() == pytest.approx(mean, abs=4 * math.sqrt(variance / 500))
        assert own.var() == pytest.approx(variance, rel=0.25)


def test_the_same_generator_draws_the_same():
    sets, chosen = stacked({0: [0.0, 1.0, 5.0]}), np.zeros((50, 1), int)
    one, same, other = (redrawn(sets, chosen, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (one == same).all() and not (one == other).all()


def test_ten_thousand_draws_are_made_unless_others_are_asked_for():
    draw = np.random.default_rng(4)
    attacked, null, reference = ({key: draw.normal(mean, 0.3, 6).tolist() for key in range(3)} for mean in (0.6, 0.1, 1.2))
    asked = recovery(attacked, null, reference)
    assert asked == recovery(attacked, null, reference, draws=10_000) != recovery(attacked, null, reference, draws=9_999)
