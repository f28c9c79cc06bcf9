"""Agreement of methods: correlations at their extremes, intervals over the same prompts, overlap counted by hand."""

import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mechlib.components import Architecture, Component, heads_and_mlps, modules
from mechlib.patching.pairs import POSITIONS
from mechlib.patching.scores import Scores
from mechlib.report.agreement import captured, jaccard, module_correlation, random_mlp_draws, rank_correlation, stability, with_exact

ARCH = Architecture(n_layers=6, n_heads=2, n_key_value_heads=1, d_model=16, d_head=8, d_mlp=20)
NODES = heads_and_mlps(ARCH)
MLPS = modules(ARCH, ["mlp"])
KINDS = pytest.mark.parametrize("kind", ["head", "mlp"])
numbers = st.floats(-5, 5)


def scored(effects, spans, method="made up"):
    """Scores as a method reports them: the share of all prompts together."""
    values = {component: sum(each) / sum(spans) for component, each in effects.items()}
    return Scores(method, values, 1.0, 0.0, effects, tuple(spans))


def drawn(seed, prompts=12, noise=1.0):
    """Every component has an effect of its own, and every prompt some noise on it."""
    draw = random.Random(seed)
    return scored({node: tuple(draw.gauss(n, noise) for _ in range(prompts)) for n, node in enumerate(NODES)}, [2.0] * prompts)


def turned(scores, sign):
    """The same scores times a number."""
    effects = {component: tuple(sign * effect for effect in each) for component, each in scores.effects.items()}
    return scored(effects, scores.spans)


@KINDS
@settings(max_examples=10)
@given(seed=st.integers(0, 99), noise=st.floats(0, 20))
def test_scores_agree_with_themselves_and_not_with_their_negative(kind, seed, noise):
    scores = drawn(seed, noise=noise)
    for sign, correlation in ((1, 1.0), (3, 1.0), (-1, -1.0)):
        found = rank_correlation(turned(scores, sign), scores, kind, resamples=9)
        # Exactly so in every resample: both are read on the same prompts.
        assert (found.estimate, found.low, found.high) == pytest.approx((correlation,) * 3)


@KINDS
@pytest.mark.parametrize("noise", [1.0, 5.0])
def test_the_interval_holds_the_estimate_and_is_wider_with_more_noise(kind, noise):
    reference = drawn(0, noise=0.1)
    found, noisier = (rank_correlation(drawn(1, noise=size), reference, kind, seed=2) for size in (noise, 4 * noise))
    for one in (found, noisier):
        assert one.low <= one.estimate <= one.high
    assert noisier.high - noisier.low > found.high - found.low


def test_the_seed_decides_and_the_estimate_does_not_depend_on_it():
    first, again, other = (rank_correlation(drawn(1, noise=5), drawn(2, noise=5), "mlp", seed, resamples=30) for seed in (7, 7, 8))
    assert first == again
    assert first != other
    assert first.estimate == other.estimate


def test_a_correlation_is_over_components_of_one_kind():
    reference = drawn(0, noise=0)
    flipped = scored({c: each if c.kind == "mlp" else tuple(-e for e in each) for c, each in reference.effects.items()}, reference.spans)
    assert rank_correlation(flipped, reference, "mlp", resamples=9).estimate == pytest.approx(1.0)
    assert rank_correlation(flipped, reference, "head", resamples=9).estimate == pytest.approx(-1.0)


def test_a_correlation_by_hand():
    """Ranks 1 2 3 against 2 1 3: 1 - 6 (1 + 1 + 0) / (3 (9 - 1)) = .5."""
    one, other = ({Component(layer, "mlp"): (value,) * 4 for layer, value in enumerate(values)} for values in ([1, 2, 3], [20, 10, 30]))
    assert rank_correlation(scored(one, [1.0] * 4), scored(other, [1.0] * 4), "mlp", resamples=9).estimate == pytest.approx(0.5)


def test_a_method_that_tells_batches_and_not_prompts_apart_gets_no_interval():
    prompts, batches = drawn(0, prompts=12), drawn(0, prompts=3)
    found = rank_correlation(batches, prompts, "mlp")
    assert found.estimate == pytest.approx(1.0)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


@KINDS
def test_prompts_that_are_all_alike_are_perfectly_stable(kind):
    effects = {node: (float(n**2 % 7 + n),) * 10 for n, node in enumerate(NODES)}
    assert stability(scored(effects, [2.0] * 10), kind) == pytest.approx(1.0)


@KINDS
def test_stability_falls_with_noise(kind):
    found = [stability(drawn(3, prompts=16, noise=noise), kind) for noise in (0.0, 3.0, 30.0)]
    assert found == sorted(found, reverse=True)
    assert found[0] == pytest.approx(1.0)
    assert found[1] == stability(drawn(3, prompts=16, noise=3.0), kind) != stability(drawn(3, prompts=16, noise=3.0), kind, seed=1)


@given(st.sets(st.sampled_from(MLPS), min_size=1), st.sets(st.sampled_from(MLPS), min_size=1))
def test_overlap_is_shared_over_all(one, other):
    found = jaccard(list(one), list(other))
    assert found == jaccard(list(other), list(one))
    assert (found == 1) == (one == other)
    assert (found == 0) == one.isdisjoint(other)
    assert jaccard([*one, *one], list(other)) == found


def test_overlap_by_hand():
    assert jaccard(MLPS[:3], MLPS[1:5]) == 2 / 5


@given(st.sets(st.sampled_from([*NODES, *modules(ARCH, ["attn"])])))
def test_what_is_captured_is_the_sum_over_the_mlps_alone(components):
    scores = drawn(5)
    expected = math.fsum(scores.values[component] for component in components if component.kind == "mlp")
    assert captured(sorted(components), scores) == pytest.approx(expected)


@given(st.integers(1, 6), st.integers(1, 12))
def test_random_draws_meet_the_budget_and_are_the_first_of_more(mlps, count):
    size = Component(0, "mlp").size(ARCH)
    drawn = random_mlp_draws(ARCH, mlps * size, count)
    assert [len(set(draw)) for draw in drawn] == [mlps] * count
    assert {component.kind for draw in drawn for component in draw} == {"mlp"}
    assert random_mlp_draws(ARCH, mlps * size, count + 3)[:count] == drawn


def test_random_draws_reach_every_mlp_about_equally_often():
    drawn = [component.layer for draw in random_mlp_draws(ARCH, 2 * Component(0, "mlp").size(ARCH), 300) for component in draw]
    assert all(drawn.count(layer) == pytest.approx(100, abs=35) for layer in range(ARCH.n_layers))


@st.composite
def parts(draw):
    """Spans, effects of each prompt and, for some components, shares by position."""
    prompts = draw(st.integers(1, 5))
    spans = draw(st.lists(st.floats(0.1, 5), min_size=prompts, max_size=prompts))
    chosen = draw(st.lists(st.sampled_from(NODES), min_size=1, max_size=4, unique=True))
    effects = {component: tuple(draw(st.lists(numbers, min_size=prompts, max_size=prompts))) for component in chosen}
    return effects, spans, {component: {position: draw(numbers) for position in POSITIONS} for component in chosen[:2]}


@given(parts(), st.text(max_size=5), numbers, numbers)
def test_scores_survive_json(parts, method, clean, corrupted):
    effects, spans, positions = parts
    scores = Scores(method, scored(effects, spans).values, clean, corrupted, effects, tuple(spans), positions)
    again = Scores.from_json(json.loads(json.dumps(scores.to_json())))
    assert again == scores
    assert all(isinstance(each, tuple) for each in (again.spans, *again.effects.values()))


@given(parts())
def test_the_scores_among_all_prompts_are_the_scores(parts):
    effects, spans, _ = parts
    assert scored(effects, spans).among(range(len(spans))) == pytest.approx(scored(effects, spans).values)


@given(parts(), st.data())
def test_the_scores_among_some_prompts_are_those_of_a_run_on_them(parts, data):
    effects, spans, _ = parts
    # With repetitions, as a bootstrap draws them.
    some = data.draw(st.lists(st.integers(0, len(spans) - 1), min_size=1, max_size=8))
    alone = scored({component: tuple(each[n] for n in some) for component, each in effects.items()}, [spans[n] for n in some])
    assert scored(effects, spans).among(some) == pytest.approx(alone.values)


def test_one_batch_has_no_halves():
    scores = Scores("made up", {Component(0, "mlp"): 1.0}, 1.0, 0.0, effects={Component(0, "mlp"): (1.0,)}, spans=(1.0,))
    assert math.isnan(stability(scores, "mlp"))


def test_every_method_beside_both_exact_directions_but_itself():
    traced = {"activation_patching": drawn(1), "activation_patching_noising": drawn(2, noise=5), "causal_tracing": drawn(1)}
    table = with_exact(traced, seed=0).set_index(["method", "kind", "reference"])
    assert len(table) == 2 * (2 + 2 * 2 - 2) and ("activation_patching", "mlp", "exact denoising") not in table.index
    assert table.share["causal_tracing", "mlp", "exact denoising"] == table.share["causal_tracing", "head", "exact denoising"] == 1
    expected = rank_correlation(traced["causal_tracing"], traced["activation_patching_noising"], "head", 0)
    assert table.loc[("causal_tracing", "head", "exact noising")].tolist() == [expected.estimate, expected.low, expected.high]
    assert with_exact({"causal_tracing": drawn(1)}, seed=0).empty


def test_modules_are_compared_by_the_size_of_their_scores_heads_and_their_groups_together():
    one = drawn(0, noise=0)
    groups = {Component(layer, "kv", 0): (2.0 * (18 - layer),) * 12 for layer in range(ARCH.n_layers)}
    reversed_sign = {node: tuple(-value for value in effects) for node, effects in one.effects.items()}
    other = scored(reversed_sign | groups, one.spans)
    # Groups of keys and values outweigh heads of the other sign in the lower layers; MLPs only change their sign.
    heads = [sum(one.values[Component(layer, "head", head)] for head in range(2)) for layer in range(ARCH.n_layers)]
    with_groups = [abs(18 - layer - value) for layer, value in enumerate(heads)]
    assert module_correlation(other, one, "mlp") == pytest.approx(1.0)
    assert module_correlation(other, one, "attn") == pytest.approx(stats.spearmanr(with_groups, list(map(abs, heads))).statistic)
    assert module_correlation(other, one, "attn") < 0.9
