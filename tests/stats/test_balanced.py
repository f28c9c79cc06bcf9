"""A mean in which each kind of forget set counts alike, against least squares of another library."""

import numpy as np
import pytest
import statsmodels.formula.api as smf
from hypothesis import given
from hypothesis import strategies as st
from pandas import DataFrame

from mechlib.stats import balanced, compare

VALUES = st.lists(st.floats(-9, 9), min_size=2, max_size=6)


@given(VALUES, VALUES)
def test_it_is_the_intercept_of_least_squares_on_the_kinds(early, late):
    values = dict(enumerate([*early, *late]))
    kinds = {number: "early" if number < len(early) else "late" for number in values}
    if np.ptp(early) + np.ptp(late) < 1e-3:
        return
    found = balanced(values, kinds)
    table = DataFrame({"value": values.values(), "kind": [1 if kind == "early" else -1 for kind in kinds.values()]})
    fit = smf.ols("value ~ kind", table).fit()
    assert found.interval.estimate == pytest.approx(fit.params["Intercept"], abs=1e-9)
    assert (found.interval.low, found.interval.high) == pytest.approx(tuple(fit.conf_int().loc["Intercept"]), abs=1e-7)
    assert (found.narrow.low, found.narrow.high) == pytest.approx(tuple(fit.conf_int(0.1).loc["Intercept"]), abs=1e-7)
    assert found.p == pytest.approx(fit.pvalues["Intercept"], abs=1e-7)


def test_what_differs_between_kinds_is_not_chance():
    gaps = {0: -1.1, 1: 2.9, 2: -0.9, 3: 3.1}
    sites = {number: "early" if number % 2 == 0 else "late" for number in gaps}
    apart, alike = balanced(gaps, sites), balanced(gaps, dict.fromkeys(gaps, "one"))
    assert apart.interval.estimate == pytest.approx(1.0) == alike.interval.estimate
    assert apart.p < 0.01 < 0.3 < alike.p


@pytest.mark.parametrize(("values", "said"), [
    ({}, "needs values"), ({0: float("nan"), 1: 0.0}, "finite"), ({0: 1.0, 1: 2.0}, "of one kind")])  # fmt: skip
def test_what_cannot_be_averaged_is_refused(values, said):
    with pytest.raises(ValueError, match=said):
        balanced(values, {0: "early", 1: "late"})


def test_two_arms_are_compared_by_kinds_of_sets():
    first = {number: [float(number % 2) * 4 - 1 + 0.1 * (number // 2), 0.0] for number in range(8)}
    second = {number: [0.0, 0.0] for number in range(8)}
    kinds = {number: str(number % 2) for number in range(8)}
    found, plain = compare(first, second, "lower", 0.4, kinds), compare(first, second, "lower", 0.4)
    means = {number: sum(own) / 2 for number, own in first.items()}
    assert found.difference == balanced(means, kinds).interval and found.p == balanced(means, kinds).p and found.least == 0
    assert found.difference.estimate == pytest.approx(plain.difference.estimate) and found.p < plain.p
    assert (found.n_sets, found.n_facts) == (8, 16)
