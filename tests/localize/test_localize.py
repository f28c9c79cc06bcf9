"""Localizations: the published probe accuracies give the published layers, and budgets are met."""

import math
import random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mechlib.components import Architecture, Component, ComponentError, heads_and_mlps, modules
from mechlib.localize.budget import fill_budget
from mechlib.localize.fact_lookup import fact_lookup, lookup_layers, subject_accuracies
from mechlib.localize.localizer import Measured
from mechlib.localize.output_tracing import by_module, ranked
from mechlib.localize.registry import LOCALIZERS, localize
from mechlib.patching.probing import ProbeRow
from mechlib.patching.scores import Scores

# Published with the paper (sports_<model>_sports_probe.json of its results):
# accuracy at the last token of the athlete after layer 0, 1, ..., of 100 athletes.
GEMMA_7B = [.44, .48, .63, .85, .97, .97, *[1.0] * 10, .99, .99, 1.0, .99, .99, *[1.0] * 5, .99, .99]  # fmt: skip
GEMMA_2_9B = [0.5, 0.57, 0.73, 0.97, 0.99, *[1.0] * 37]
LLAMA_3_8B = [0.42, 0.63, 0.92, *[1.0] * 29]

ARCH = Architecture(n_layers=12, n_heads=4, n_key_value_heads=2, d_model=16, d_head=8, d_mlp=20)
accuracies = st.lists(st.integers(0, 50).map(lambda correct: correct / 50), min_size=1, max_size=48)
seeds = st.integers(0, 1000)


def probed(curve, total=100):
    """Rows whose accuracy after each layer is ``curve``; what enters layer 0 and the prompt's end say nothing."""
    rows = [ProbeRow(layer + 1, "subject", round(value * total), total, 30) for layer, value in enumerate(curve)]
    return [ProbeRow(0, "subject", total, total, 30), *rows, *(ProbeRow(row.layer, "prompt", total, total, 30) for row in rows)]


def scored(values):
    return Scores("fake", dict(zip(heads_and_mlps(ARCH), values, strict=True)), 1.0, 0.0)


EVIDENCE = sorted({method.evidence for method in LOCALIZERS.values() if method.evidence})


def evidence(seed=0):
    draw = random.Random(seed)
    curve = [0.4, 0.4, 0.6, 0.8, 1.0, *[1.0] * 6]
    return Measured(probed(curve), {name: scored([draw.uniform(-1, 1) for _ in heads_and_mlps(ARCH)]) for name in EVIDENCE})


@pytest.mark.parametrize(("curve", "layers"), [(GEMMA_7B, range(2, 8)), (GEMMA_2_9B, range(2, 7)), (LLAMA_3_8B, range(1, 5))])
def test_published_accuracies_give_the_layers_of_the_released_code(curve, layers):
    assert lookup_layers(curve, len(curve), total=100) == layers


@given(accuracies, st.integers(1, 500), st.integers(0, 2))
def test_a_window_is_some_layers_and_at_most_a_quarter(curve, total, later):
    layers = lookup_layers(curve, len(curve) + later, total)
    assert 1 <= len(layers) <= math.ceil((len(curve) + later) / 4)
    assert 0 <= layers[0] < len(curve)
    assert layers[-1] < len(curve) + later


@given(st.floats(0, 1), st.integers(1, 48))
def test_flat_accuracies_give_the_first_layers(value, n_layers):
    assert lookup_layers([value] * n_layers, n_layers, total=100)[0] == 0


@given(accuracies)
def test_the_window_begins_where_accuracy_has_risen(curve):
    layers = lookup_layers(curve, len(curve), total=100)
    risen = [layer for layer, value in enumerate(curve) if value >= curve[0] + 0.1 - 1e-9]
    assume(risen)
    assert layers[0] == risen[0]


def test_accuracy_after_a_layer_is_what_enters_the_next():
    rows = probed(GEMMA_7B)
    assert subject_accuracies(rows) == GEMMA_7B
    arch = Architecture(len(GEMMA_7B) + 1, 2, 1, 4, 2, 4)
    assert fact_lookup(rows, arch) == tuple(Component(layer, "mlp") for layer in range(2, 8))


@given(st.permutations(modules(ARCH)), st.data())
def test_a_budget_is_reached_and_overshot_by_less_than_the_last_component(ranking, data):
    budget = data.draw(st.integers(1, sum(component.size(ARCH) for component in ranking)))
    taken = fill_budget(ranking, budget, ARCH)
    size = sum(component.size(ARCH) for component in taken)
    assert taken == tuple(ranking[: len(taken)])
    assert budget <= size < budget + taken[-1].size(ARCH)


def test_a_budget_beyond_all_candidates_is_an_error():
    everything = modules(ARCH)
    most = sum(component.size(ARCH) for component in everything)
    assert fill_budget(everything, most, ARCH) == everything
    with pytest.raises(ComponentError, match=f"{most + 1:,} weights cannot be reached.*{most:,}"):
        fill_budget(everything, most + 1, ARCH)


@given(st.lists(st.floats(-1, 1), min_size=len(heads_and_mlps(ARCH)), max_size=len(heads_and_mlps(ARCH))))
def test_an_attention_layer_scores_the_sum_of_its_heads(values):
    scores = scored(values)
    summed = by_module(scores)
    assert summed.keys() == set(modules(ARCH))
    for layer in range(ARCH.n_layers):
        heads = [scores.values[Component(layer, "head", number)] for number in range(ARCH.n_heads)]
        assert summed[Component(layer, "attn")] == pytest.approx(sum(heads))
        assert summed[Component(layer, "mlp")] == scores.values[Component(layer, "mlp")]


@given(st.lists(st.integers(-3, 3).map(float), min_size=len(heads_and_mlps(ARCH)), max_size=len(heads_and_mlps(ARCH))), st.booleans())
def test_a_ranking_is_by_size_of_the_effect_whatever_its_sign(values, mlps_only):
    scores = scored(values)
    order, summed = ranked(scores, mlps_only), by_module(scores)
    assert sorted(order) == sorted(c for c in modules(ARCH) if c.kind == "mlp" or not mlps_only)
    for before, after in zip(order, order[1:], strict=False):
        assert (-abs(summed[before]), before) < (-abs(summed[after]), after)


@pytest.mark.parametrize("key", LOCALIZERS)
@settings(max_examples=15)
@given(seed=seeds)
def test_every_method_meets_the_budget_of_fact_lookup(key, seed):
    measured = evidence(seed)
    found = localize(key, measured, ARCH, seed, model="fake")
    budget = localize("fact_lookup", measured, ARCH, seed).parameters
    assert (found.name, found.provenance["budget"], found.provenance["model"]) == (key, budget, "fake")
    assert found.parameters == sum(component.size(ARCH) for component in found.components)
    if LOCALIZERS[key].matched:
        largest = max(component.size(ARCH) for component in found.components)
        assert budget <= found.parameters < budget + largest
    if LOCALIZERS[key].group == "mlps" or key == "all_mlps":
        assert {component.kind for component in found.components} == {"mlp"}
    assert localize(key, measured, ARCH, seed, model="fake") == found


def test_the_unmatched_hold_everything():
    assert localize("all_mlps", evidence(), ARCH, 0).components == modules(ARCH, ["mlp"])
    assert localize("nonlocalized", evidence(), ARCH, 0).components == modules(ARCH)


@pytest.mark.parametrize("key", LOCALIZERS)
def test_only_random_methods_depend_on_the_seed(key):
    drawn = {localize(key, evidence(), ARCH, seed).components for seed in range(20)}
    assert (len(drawn) > 5) == key.startswith("random")
    assert (len(drawn) == 1) != key.startswith("random")


def test_traced_methods_take_what_their_own_evidence_ranks_first():
    for key in EVIDENCE:
        for name, mlps_only in ((key, False), (f"{key}_mlps", True)):
            order = ranked(evidence().scores[key], mlps_only=mlps_only)
            found = localize(name, evidence(), ARCH, 0).components
            assert found == tuple(sorted(order[: len(found)]))
    assert len({localize(key, evidence(), ARCH, 0).components for key in EVIDENCE}) == len(EVIDENCE)
