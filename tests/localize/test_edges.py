"""Budgets: given, missing, monotone, nested; ties and the order of scores."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechlib.components import Architecture, Component, ComponentError, heads_and_mlps, modules
from mechlib.localize.budget import fill_budget
from mechlib.localize.localizer import Measured
from mechlib.localize.output_tracing import ranked
from mechlib.localize.registry import LOCALIZERS, localize
from mechlib.patching.scores import Scores

ARCH = Architecture(n_layers=6, n_heads=4, n_key_value_heads=2, d_model=16, d_head=8, d_mlp=20)
PARTS = heads_and_mlps(ARCH)
MLP, ALL_MLPS = Component(0, "mlp").size(ARCH), sum(c.size(ARCH) for c in modules(ARCH, ["mlp"]))
EVIDENCE = [method.key for method in LOCALIZERS.values() if method.evidence]
numbers = st.lists(st.integers(-3, 3).map(lambda n: n / 7), min_size=len(PARTS), max_size=len(PARTS))


def measured(values):
    scores = Scores("fake", dict(zip(PARTS, values, strict=True)), 1.0, 0.0)
    return Measured(scores={method.evidence: scores for method in LOCALIZERS.values() if method.evidence})


@pytest.mark.parametrize("key", [*EVIDENCE, "random", "random_mlps", "random_mlps_3"])
def test_a_budget_is_given_or_said_to_be_missing(key):
    found = localize(key, measured([1.0] * len(PARTS)), ARCH, 0, budget=2 * MLP)
    assert found.provenance["budget"] == 2 * MLP
    assert 2 * MLP <= found.parameters < 2 * MLP + max(c.size(ARCH) for c in found.components)
    with pytest.raises(ComponentError, match="or a budget to methods") as caught:
        localize(key, measured([1.0] * len(PARTS)), ARCH, 0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("budget", [0, -5, 10**9])
def test_a_budget_that_cannot_be_is_one_line(budget):
    with pytest.raises(ComponentError, match="a budget of") as caught:
        localize("random_mlps", Measured(), ARCH, 0, budget=budget)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", EVIDENCE)
def test_evidence_that_is_missing_or_no_number_is_one_line(key):
    name = LOCALIZERS[key].evidence
    with pytest.raises(ComponentError, match=f"no scores of '{name}' .*there are: none"):
        localize(key, Measured(), ARCH, 0, budget=MLP)
    with pytest.raises(ComponentError, match="the score of L0.head0 is nan"):
        localize(key, measured([float("nan"), *[1.0] * (len(PARTS) - 1)]), ARCH, 0, budget=MLP)


def test_fact_lookup_needs_its_own_evidence_whatever_the_budget():
    with pytest.raises(ComponentError, match="fact lookup needs probes or path patching"):
        localize("fact_lookup", Measured(), ARCH, 0, budget=MLP)


@pytest.mark.parametrize("key", [*EVIDENCE, "random", "random_mlps"])
@given(values=numbers, budgets=st.tuples(st.integers(1, ALL_MLPS), st.integers(1, ALL_MLPS)))
def test_a_larger_budget_holds_what_a_smaller_one_does(key, values, budgets):
    small, large = (localize(key, measured(values), ARCH, 1, budget=budget) for budget in sorted(budgets))
    assert set(small.components) <= set(large.components)
    assert small.parameters <= large.parameters


@pytest.mark.parametrize("key", EVIDENCE)
@given(values=numbers, seed=st.integers(0, 99), budget=st.integers(1, ALL_MLPS))
def test_the_order_in_which_components_are_scored_is_nothing(key, values, seed, budget):
    plain = measured(values)
    scores = plain.of(LOCALIZERS[key].evidence)
    mixed = random.Random(seed).sample(list(scores.values.items()), len(scores.values))
    other = Measured(scores={LOCALIZERS[key].evidence: Scores("fake", dict(mixed), 1.0, 0.0)})
    assert localize(key, other, ARCH, 0, budget=budget) == localize(key, plain, ARCH, 0, budget=budget)


@given(st.integers(1, ALL_MLPS))
def test_ties_go_to_the_lower_layer(budget):
    flat = measured([0.5] * len(PARTS)).of("causal_tracing")
    taken = fill_budget(ranked(flat, mlps_only=True), budget, ARCH)
    assert taken == tuple(Component(layer, "mlp") for layer in range(-(-budget // MLP)))
