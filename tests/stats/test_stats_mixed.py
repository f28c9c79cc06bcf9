"""The mixed model: against least squares on the arms' means, where a balanced study makes both the same, and on planted effects."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from mechlib.stats import mixed


def study(effect, arms=16, sets=4, seed=0, noise=0.4):
    """Arms whose outcome falls by ``effect`` with overlap, rises with depth, and differs by arm and by set."""
    rng = np.random.default_rng(seed)
    overlap, depth, own, common = rng.random(arms), 17 * rng.random(arms), rng.normal(size=arms) * 0.5, rng.normal(size=sets)
    return pd.DataFrame([
        {"arm": f"a{arm}", "forget_set": number, "overlap": overlap[arm], "depth": depth[arm],
         "odds": 1 + effect * overlap[arm] + 0.1 * depth[arm] + own[arm] + common[number] + noise * rng.normal()}
        for arm in range(arms) for number in range(sets)
    ])  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_of_a_balanced_study_it_is_least_squares_on_the_arms_means(seed):
    table = study(-2.0, seed=seed)
    found, means = mixed(table, "odds", ["overlap", "depth"]), table.groupby("arm")[["odds", "overlap", "depth"]].mean()
    plain = sm.OLS(means.odds, sm.add_constant(means[["overlap", "depth"]])).fit()
    for name, one in found.items():
        low, high = plain.conf_int().loc[name]
        assert one.interval.estimate == pytest.approx(plain.params[name], rel=1e-5, abs=1e-8)
        assert (one.interval.low, one.interval.high) == pytest.approx((low, high), rel=1e-2)
        assert one.p == pytest.approx(plain.pvalues[name], rel=5e-2)
        assert one.interval.low < one.narrow.low < one.narrow.high < one.interval.high


@pytest.mark.parametrize("sets", [1, 2])
def test_one_set_is_least_squares_on_its_rows_and_two_are_no_trouble(sets):
    table = study(-2.0, sets=sets)
    found = mixed(table, "odds", ["overlap", "depth"])["overlap"]
    means = table.groupby("arm")[["odds", "overlap", "depth"]].mean()
    plain = sm.OLS(means.odds, sm.add_constant(means[["overlap", "depth"]])).fit()
    assert (found.interval.estimate, found.p) == pytest.approx((plain.params["overlap"], plain.pvalues["overlap"]), rel=1e-2)


def test_more_sets_are_no_more_arms():
    """Doubling every row tells nothing new: with sets as the unit, the interval would shrink by a third."""
    table = study(-2.0)
    doubled = pd.concat([table, table.assign(forget_set=table.forget_set + 4)])
    one, two = (mixed(some, "odds", ["overlap", "depth"])["overlap"].interval for some in (table, doubled))
    assert two.high - two.low > 0.9 * (one.high - one.low)


def test_its_level_holds_where_overlap_does_nothing():
    found = [mixed(study(0.0, arms=12, sets=3, seed=seed), "odds", ["overlap", "depth"])["overlap"].p for seed in range(60)]
    assert np.mean(np.array(found) < 0.05) <= 0.15 and np.mean(found) == pytest.approx(0.5, abs=0.15)


def test_an_outcome_that_is_the_same_everywhere_has_no_effects():
    found = mixed(study(-2.0).assign(odds=1.0), "odds", ["overlap", "depth"])["overlap"]
    assert (found.interval.low, found.interval.estimate, found.interval.high, found.p) == (0, 0, 0, 1)


@pytest.mark.parametrize(("change", "terms", "said"), [
    (lambda table: table, ["overlap", "norm"], "no column norm"),
    (lambda table: table.assign(odds=np.nan), ["overlap"], "not finite"),
    (lambda table: table[table.arm.isin(["a0", "a1", "a2"])], ["overlap", "depth"], "too few"),
    (lambda table: table.assign(depth=2 * table.overlap), ["overlap", "depth"], "depend on each other"),
])  # fmt: skip
def test_what_cannot_be_told_is_refused(change, terms, said):
    with pytest.raises(ValueError, match=said):
        mixed(change(study(-1.0)), "odds", terms)
