"""Attribution patching is the derivative of the metric along each component's change of output."""

from contextlib import contextmanager
from functools import partial

import pytest
import torch
from brute_force import PROMPTS, answer_lead, changing, full_pass, streams
from tiny_models import tiny_model

from mechlib.components import Component, heads_and_mlps, key_value_groups
from mechlib.facts import FORMATS, prompts
from mechlib.patching.activation import activation_patching
from mechlib.patching.attribution import attribution_patching
from mechlib.patching.pairs import make_pair

STEP = 1e-3


# What reads the stream for the MLP, and where queries, keys and values are written, where they are not called as in Llama.
READER = {"gemma2": "pre_feedforward_layernorm", "gemma3_text": "pre_feedforward_layernorm", "olmo2": "mlp", "gpt2": "ln_2"}
ATTENTION = {"gpt2": "attn", "gpt_neox": "attention"}


@contextmanager
def changing_input(model, layer, part, columns, change):
    """Pass some columns of what a layer's projections write, or of the stream that its MLP reads, through ``change``."""
    kind, block = model.config.model_type, model.layers[layer]

    def changed(tensor):
        tensor = tensor.clone()
        tensor[..., columns] = change(tensor[..., columns])
        return tensor

    if part == "mlp_in":
        reader = block.get_submodule(READER.get(kind, "post_attention_layernorm"))
        handle = reader.register_forward_pre_hook(lambda _module, arguments: (changed(arguments[0]),))
    else:
        writer = block.get_submodule(f"{ATTENTION.get(kind, 'self_attn')}.{part}_proj")
        handle = writer.register_forward_hook(lambda _module, _arguments, output: changed(output))
    try:
        yield
    finally:
        handle.remove()


def outputs(model):
    """The ways to change each component: what it writes."""
    return {component: [partial(changing, model, component)] for component in heads_and_mlps(model.architecture)}


def outputs_and_inputs(model):
    """With what a head asks and an MLP reads; keys and values count for their group."""
    width = model.architecture.d_head

    def read(component, *parts):
        columns = slice(None) if component.kind == "mlp" else slice(component.index * width, (component.index + 1) * width)
        return [partial(changing_input, model, component.layer, part, columns) for part in parts]

    asked = {"head": "q", "mlp": "mlp_in"}
    own = {component: [*ways, *read(component, asked[component.kind])] for component, ways in outputs(model).items()}
    return own | {group: read(group, "k", "v") for group in key_value_groups(model.architecture)}


def finite_differences(model, pair, direction, ways):
    """Scores from moving each part of each component of each text a small step towards what it is in the other run."""
    totals, ends = dict.fromkeys(ways, 0.0), [0.0, 0.0]
    for row in range(len(pair.packed)):
        clean, corrupted = streams(pair, row)
        base, source = (corrupted, clean) if direction == "denoise" else (clean, corrupted)
        plain = [answer_lead(full_pass(model, stream), pair.options[row]).item() for stream in (clean, corrupted)]
        ends = [end + value for end, value in zip(ends, plain, strict=True)]
        for component, change in ((component, change) for component, parts in ways.items() for change in parts):
            kept = []
            with change(lambda tensor: kept.append(tensor) or tensor):
                full_pass(model, source)
            leads = []
            for step in (STEP, -STEP):
                with change(lambda tensor: tensor + step * (kept[0] - tensor)):
                    leads.append(answer_lead(full_pass(model, base), pair.options[row]).item())
            totals[component] += (leads[0] - leads[1]) / (2 * STEP)
    span = (ends[0] - ends[1]) * (1 if direction == "denoise" else -1)
    return {component: total / span for component, total in totals.items()}


@pytest.fixture
def double(request, monkeypatch):
    """A tiny model in float64 throughout: families compute norms and softmax in float32 otherwise."""

    def widened(function):
        def wide(*given, **named):
            given = [torch.float64 if value is torch.float32 else value for value in given]
            return function(*given, **{key: torch.float64 if value is torch.float32 else value for key, value in named.items()})

        return wide

    model = tiny_model(request.param)
    model.network.double()
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    monkeypatch.setattr(torch.Tensor, "to", widened(torch.Tensor.to))
    monkeypatch.setattr(torch.nn.functional, "softmax", widened(torch.nn.functional.softmax))
    return model


@pytest.mark.parametrize("direction", ["denoise", "noise"])
@pytest.mark.parametrize("double", ["gemma3", "llama", "gemma2", "gemma"], indirect=True)
def test_a_score_is_the_derivative_along_the_change(double, direction):
    with torch.no_grad():
        expected = finite_differences(double, make_pair(double, PROMPTS, "tokens", 5), direction, outputs(double))
    scores = attribution_patching(double, PROMPTS, corruption="tokens", direction=direction, seed=5)
    assert scores.values == pytest.approx(expected, rel=1e-3, abs=1e-5)
    assert max(map(abs, expected.values())) > 0.05


@pytest.mark.parametrize("double", ["gemma3", "llama", "gemma2", "olmo2", "gpt_neox", "gpt2"], indirect=True)
def test_with_inputs_a_score_is_the_sum_of_the_derivatives_along_all_that_a_component_reads_and_writes(double):
    ways = outputs_and_inputs(double)
    with torch.no_grad():
        expected = finite_differences(double, make_pair(double, PROMPTS, "tokens", 5), "noise", ways)
    scores = attribution_patching(double, PROMPTS, inputs=True, corruption="tokens", direction="noise", seed=5)
    assert scores.values == pytest.approx(expected, rel=1e-3, abs=1e-5)
    plain = attribution_patching(double, PROMPTS, corruption="tokens", direction="noise", seed=5)
    assert scores.method == f"{plain.method.replace(' (', ', inputs (')}"
    assert all(abs(scores.values[component] - value) > 1e-6 for component, value in plain.values.items() if component.layer)
    assert max(abs(scores.values[group]) for group in key_value_groups(double.architecture)) > 0.01


def test_a_group_s_keys_and_values_are_scored_as_those_of_its_heads_together():
    grouped = tiny_model("llama")
    apart = tiny_model("llama", num_key_value_heads=4)
    weights = dict(grouped.parameters)
    for name, weight in apart.parameters.items():
        whole = weights[name]
        shared = name.endswith(("k_proj.weight", "v_proj.weight"))
        weight.data.copy_(whole.unflatten(0, (2, 1, -1)).expand(-1, 2, -1, -1).flatten(0, 2) if shared else whole)
    one, other = (attribution_patching(model, PROMPTS, inputs=True, direction="noise", seed=5).values for model in (grouped, apart))
    together = dict(one)
    for component, value in other.items():
        group = Component(component.layer, "kv", component.index // 2) if component.kind == "kv" else component
        together[group] -= value
    assert together == pytest.approx(dict.fromkeys(one, 0.0), abs=1e-5)
    assert len(other) == len(one) + 2 * 3


def test_a_component_that_acts_linearly_is_scored_exactly():
    # Norms divide by nearly the same large number: attention is even, the MLP nearly silent, and what heads write adds up.
    model = tiny_model("llama", num_hidden_layers=1, rms_norm_eps=1e6)
    for direction in ("denoise", "noise"):
        exact = activation_patching(model, PROMPTS, corruption="noise", direction=direction, seed=2)
        estimate = attribution_patching(model, PROMPTS, corruption="noise", direction=direction, seed=2)
        assert (estimate.clean, estimate.corrupted) == pytest.approx((exact.clean, exact.corrupted), rel=1e-4)
        assert estimate.values == pytest.approx(exact.values, abs=1e-3)
        assert sum(exact.values.values()) == pytest.approx(1.0, abs=1e-2)


def test_batches_change_nothing_but_the_draw(tiny_gemma3, monkeypatch):
    monkeypatch.setattr("mechlib.patching.pairs.ordinary_tokens", lambda _model: torch.tensor([11]))
    for direction in ("denoise", "noise"):
        one, all_at_once = (
            attribution_patching(tiny_gemma3, PROMPTS, corruption="tokens", direction=direction, seed=0, batch_size=size)
            for size in (1, 16)
        )
        assert one.values == pytest.approx(all_at_once.values, abs=1e-4, rel=1e-3)


def test_the_model_keeps_no_gradient(tiny_gemma3):
    asked = prompts([prompt.fact for prompt in PROMPTS], FORMATS["question"])
    attribution_patching(tiny_gemma3, asked, corruption="noise", direction="noise", seed=0)
    assert all(weight.grad is None and not weight.requires_grad for weight in tiny_gemma3.parameters.values())


@pytest.mark.parametrize("double", ["gemma3", "llama"], indirect=True)
def test_one_integration_step_is_the_gradient_halfway_between_the_runs(double):
    pair, totals, span = make_pair(double, PROMPTS, "tokens", 5), dict.fromkeys(heads_and_mlps(double.architecture), 0.0), 0.0
    with torch.no_grad():
        for row in range(len(pair.packed)):
            source, base = streams(pair, row)
            ends = [answer_lead(full_pass(double, stream), pair.options[row]).item() for stream in (source, base)]
            span += ends[0] - ends[1]
            for component in totals:
                kept = []
                with changing(double, component, lambda output: kept.append(output) or output):
                    full_pass(double, source)
                    full_pass(double, base)
                leads = []
                for step in (STEP, -STEP):
                    with changing(double, component, lambda output: output + step * (kept[0] - kept[1])):
                        leads.append(answer_lead(full_pass(double, (source + base) / 2), pair.options[row]).item())
                totals[component] += (leads[0] - leads[1]) / (2 * STEP)
    scores = attribution_patching(double, PROMPTS, corruption="tokens", direction="denoise", seed=5, integration_steps=1)
    assert scores.values == pytest.approx({component: total / span for component, total in totals.items()}, rel=1e-3, abs=1e-5)


def test_integration_steps_are_averaged_midpoints(tiny_gemma3):
    one, many = (
        attribution_patching(tiny_gemma3, PROMPTS, corruption="tokens", direction="noise", seed=5, integration_steps=steps)
        for steps in (1, 8)
    )
    assert (one.clean, one.corrupted) == pytest.approx((many.clean, many.corrupted))
    assert one.values != pytest.approx(many.values, abs=1e-3)
