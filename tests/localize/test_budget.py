"""The budget by hand: a ranking is taken until it holds enough weights, and no longer."""

import pytest

from mechlib.components import Architecture, Component, ComponentError
from mechlib.localize.budget import fill_budget

# An MLP holds 3 * 4 * 8 = 96 weights; attention (8 + 8) * 4 = 64 of queries and output, 2 * 4 * 4 = 32 of keys and values.
ARCH = Architecture(n_layers=2, n_heads=4, n_key_value_heads=2, d_model=4, d_head=2, d_mlp=8)
RANKED = (Component(1, "mlp"), Component(0, "head", 3), Component(0, "mlp"))


@pytest.mark.parametrize(("budget", "number"), [(1, 1), (96, 1), (97, 2), (112, 2), (113, 3), (208, 3)])
def test_a_ranking_is_taken_until_it_holds_the_budget(budget, number):
    assert [component.size(ARCH) for component in RANKED] == [96, 16, 96]
    assert fill_budget(iter(RANKED), budget, ARCH) == RANKED[:number]


def test_too_few_candidates_are_refused_with_both_numbers():
    with pytest.raises(ComponentError, match="a budget of 209 weights cannot be reached: all candidates hold 208"):
        fill_budget(RANKED, 209, ARCH)


@pytest.mark.parametrize("budget", [0, -1])
def test_a_budget_of_nothing_is_refused(budget):
    with pytest.raises(ComponentError, match=f"a budget of {budget} weights holds no component"):
        fill_budget(RANKED, budget, ARCH)


def test_a_ranking_is_read_no_further_than_one_beyond_the_budget():
    ranking = iter(RANKED)
    assert fill_budget(ranking, 96, ARCH) == RANKED[:1]
    assert next(ranking) == RANKED[2]
