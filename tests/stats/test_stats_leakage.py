"""Leakage under repeated sampling, against its formula, at its ends, and where the formula rounds to zero."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechlib.stats import leak_at_k

shares = st.floats(0, 1)


@given(shares, st.integers(1, 1000))
def test_leakage_is_bounded_and_grows_with_samples(probability, k):
    leaked = leak_at_k(probability, k)
    assert leak_at_k(probability, 1) == pytest.approx(probability, rel=1e-12)
    assert probability * (1 - 1e-12) <= leaked <= leak_at_k(probability, k + 1) * (1 + 1e-12)
    assert leaked <= min(1.0, k * probability * (1 + 1e-12))
    assert leaked == pytest.approx(1 - (1 - probability) ** k, abs=1e-12)


def test_leakage_by_hand_at_its_ends_and_where_the_formula_rounds_to_zero():
    assert leak_at_k(0.5, 3) == pytest.approx(0.875)
    assert (leak_at_k(0.0, 10), leak_at_k(1.0, 10)) == (0.0, 1.0)
    assert 1 - (1 - 1e-20) ** 100 == 0.0
    assert leak_at_k(1e-20, 100) == pytest.approx(1e-18, rel=1e-12)


def test_leakage_is_elementwise_and_refuses_what_is_no_probability():
    table = np.array([[0.0, 0.1], [0.5, 1.0]])
    assert leak_at_k(table, 2) == pytest.approx(np.array([[0.0, 0.19], [0.75, 1.0]]))
    assert isinstance(leak_at_k(0.1, 2), float)
    for wrong in (-0.1, 1.1, math.nan, np.array([0.5, 2.0])):
        with pytest.raises(ValueError, match="not within"):
            leak_at_k(wrong, 2)
    with pytest.raises(ValueError, match="fewer than one"):
        leak_at_k(0.5, 0)
