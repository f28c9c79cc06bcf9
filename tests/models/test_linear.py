"""On a model that is linear in its embeddings, first-order estimates are exact."""

from contextlib import ExitStack

import pytest
import torch
from brute_force import PROMPTS, answer_lead, changing, full_pass, lead_with, outputs_of, streams
from tiny_models import tiny_model

from mechlib.components import Component, heads_and_mlps
from mechlib.facts import FORMATS, prompts
from mechlib.patching.activation import activation_patching
from mechlib.patching.attribution import attribution_patching
from mechlib.patching.pairs import make_pair
from mechlib.patching.path import direct_effects, effects_on_stream

DIRECTIONS = pytest.mark.parametrize("direction", ["denoise", "noise"])
# Short texts: even attention would dilute the subject in long ones, and scores with it.
SHORT = prompts([asked.fact for asked in PROMPTS], FORMATS["statement"])
SEED = 0
EPSILON, SCALE = 2.0**40, 2.0**20


class Ones(torch.nn.Module):
    def forward(self, x):
        return torch.ones_like(x)


def linear_model(family):
    """Norms that change nothing (they divide and multiply by 2^20), even attention, MLPs that are ``down(up(x))``."""
    model = tiny_model(family, rms_norm_eps=EPSILON)
    for name, weight in model.parameters.items():
        if "norm" in name:
            weight.data.fill_(SCALE if family == "llama" else SCALE - 1)
        elif "q_proj" in name or "gate_proj" in name:
            weight.data.zero_()
    for layer in model.layers:
        layer.mlp.act_fn = Ones()
    return model


@pytest.fixture(scope="module", params=["gemma3", "llama"])
def linear(request):
    return linear_model(request.param)


def scores(method, model, direction, **options):
    return method(model, SHORT, corruption="tokens", direction=direction, seed=SEED, **options)


def test_the_model_is_linear(linear):
    pair = make_pair(linear, SHORT, "tokens", SEED)
    one, other = streams(pair, 1)
    with torch.no_grad():
        ends, between = [full_pass(linear, stream) for stream in (one, other)], full_pass(linear, 3 * one - 2 * other)
    torch.testing.assert_close(between, 3 * ends[0] - 2 * ends[1], atol=1e-4, rtol=1e-4)


@DIRECTIONS
def test_estimates_equal_exact_patching(linear, direction):
    exact = scores(activation_patching, linear, direction)
    for steps in (0, 3):
        estimate = scores(attribution_patching, linear, direction, integration_steps=steps)
        assert estimate.values == pytest.approx(exact.values, abs=1e-5)
        assert (estimate.clean, estimate.corrupted) == pytest.approx((exact.clean, exact.corrupted), abs=1e-5)
    assert min(map(abs, exact.values.values())) > 1e-4
    assert max(map(abs, exact.values.values())) > 0.05


def test_both_directions_find_the_same(linear):
    one, other = (scores(activation_patching, linear, direction) for direction in ("denoise", "noise"))
    assert one.values == pytest.approx(other.values, abs=1e-5)


def test_positions_add_up(linear):
    exact = scores(activation_patching, linear, "denoise", by_position=True)
    for component, value in exact.values.items():
        assert sum(exact.positions[component].values()) == pytest.approx(value, abs=1e-5)
    estimate = scores(attribution_patching, linear, "denoise")
    for mlp in (Component(layer, "mlp") for layer in range(linear.architecture.n_layers)):
        assert estimate.positions[mlp] == pytest.approx(exact.positions[mlp], abs=1e-5)


def test_the_last_layer_acts_directly(linear):
    exact, last = scores(activation_patching, linear, "denoise"), linear.architecture.n_layers - 1
    # No later attention to freeze. Of earlier layers a head's effect through later attention is missing.
    direct = scores(direct_effects, linear, "denoise")
    for head in (Component(last, "head", number) for number in range(linear.architecture.n_heads)):
        assert direct.values[head] == pytest.approx(exact.values[head], abs=1e-5)
    on_stream = scores(lambda *given, **options: effects_on_stream(*given, last, **options), linear, "denoise")
    assert on_stream.values[Component(last - 1, "mlp")] == pytest.approx(exact.values[Component(last - 1, "mlp")], abs=1e-5)


def reacting_by_half(model, direction):
    """Exact patching, but each later MLP changes its output by half as much as it would."""
    pair, totals, span = make_pair(model, SHORT, "tokens", SEED), dict.fromkeys(heads_and_mlps(model.architecture), 0.0), 0.0
    mlps = [Component(layer, "mlp") for layer in range(model.architecture.n_layers)]
    for row in range(len(pair.packed)):
        clean, corrupted = streams(pair, row)
        base, source = (corrupted, clean) if direction == "denoise" else (clean, corrupted)
        here, there = outputs_of(model, base, mlps), outputs_of(model, source, totals)
        before, away = (answer_lead(full_pass(model, stream), pair.options[row]).item() for stream in (base, source))
        span += away - before
        with ExitStack() as stack:
            for mlp in mlps:
                stack.enter_context(changing(model, mlp, lambda output, own=here[mlp]: (own + output) / 2))
            for component in totals:
                totals[component] += lead_with(model, base, {component: there[component]}, pair.options[row]) - before
    return {component: total / span for component, total in totals.items()}


@DIRECTIONS
def test_relevance_is_exact_but_for_the_half_that_gates_keep(linear, direction):
    # Norms and even patterns are constants as they stand: their rules take nothing away. But an MLP's output is a product,
    # 1 * up(x), and the half rule sends half of what flows back to its gate, which is the same for every input: it ends there.
    with torch.no_grad():
        expected = reacting_by_half(linear, direction)
    exact, relevance = (
        scores(method, linear, direction, **slope)
        for method, slope in ((activation_patching, {}), (attribution_patching, {"slope": "relevance"}))
    )
    assert relevance.values == pytest.approx(expected, abs=1e-5)
    last = linear.architecture.n_layers - 1
    assert relevance.values[Component(last, "mlp")] == pytest.approx(exact.values[Component(last, "mlp")], abs=1e-5)
    assert relevance.values != pytest.approx(exact.values, abs=1e-3)


@DIRECTIONS
def test_relevance_is_exact_where_no_mlp_is_passed(direction):
    model = linear_model("gemma3")
    for layer in model.layers:
        layer.mlp.down_proj.weight.data.zero_()
    exact = scores(activation_patching, model, direction)
    relevance = scores(attribution_patching, model, direction, slope="relevance")
    assert relevance.values == pytest.approx(exact.values, abs=1e-5)
    assert max(map(abs, exact.values.values())) > 0.05
