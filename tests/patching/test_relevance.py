"""Relevance rules change what flows back, never what flows forward, and nothing gets lost on the way back."""

from contextlib import contextmanager

import pytest
import torch
from brute_force import PROMPTS, answer_lead, full_pass, lead_with, outputs_of, streams
from tiny_models import FAMILIES, tiny_model

from mechlib.components import Ungated, heads_and_mlps
from mechlib.models.forward import Entry, answer_logits, enter, hidden_at, option_logits
from mechlib.models.packed import pack
from mechlib.models.tokens import option_tokens
from mechlib.patching.attribution import attribution_patching
from mechlib.patching.pairs import make_pair
from mechlib.patching.relevance import relevance_rules


@pytest.fixture(scope="module", params=list(FAMILIES))
def uncapped(request):
    # A soft cap of the logits is no part of the rules.
    return tiny_model(request.param, **({"final_logit_softcapping": None} if request.param == "gemma2" else {}))


def unshared(model):
    """Texts with no shared prefix: what enters a layer has to hold all tokens."""
    return pack(model, model.tokenizer([asked.text for asked in PROMPTS]).input_ids, share_at_most=0)


def lead_and_slope(model, batch, entry):
    """Each text's logit difference, and its gradient (or what the rules make of it) in the stream entering a layer."""
    stream = entry.stream.detach().requires_grad_(True)
    options = torch.tensor([option_tokens(model, asked) for asked in PROMPTS])
    logits = option_logits(model, hidden_at(model, batch, batch.ends, Entry(entry.layer, stream)), options)
    leads = logits[:, 0] - logits[:, 1:].mean(1)
    (slope,) = torch.autograd.grad(leads.sum(), stream)
    return leads.detach(), slope


def summed(batch, products):
    return torch.stack([products.flatten(0, 1)[path].sum() for path in batch.paths])


def test_rules_leave_the_forward_pass(tiny):
    batch = unshared(tiny)
    with torch.no_grad():
        plain = answer_logits(tiny, batch)
        with relevance_rules(tiny):
            torch.testing.assert_close(answer_logits(tiny, batch), plain, atol=1e-6, rtol=1e-6)


def test_relevance_of_the_stream_adds_up_to_the_logit_difference(uncapped):
    batch = unshared(uncapped)
    for layer in range(uncapped.architecture.n_layers):
        entry = enter(uncapped, batch, layer)
        with relevance_rules(uncapped):
            leads, relevance = lead_and_slope(uncapped, batch, entry)
        torch.testing.assert_close(summed(batch, entry.stream * relevance), leads, atol=1e-4, rtol=1e-4)
        assert leads.abs().max() > 0.1
        # Gradients do not add up to it.
        _, gradient = lead_and_slope(uncapped, batch, entry)
        assert (summed(batch, entry.stream * gradient) - leads).abs().max() > 1e-2


@contextmanager
def held(model, stream):
    """The network as the linear map that the rules see in it at this run: norms, patterns and gates stay as they are there."""
    norms = [module for module in model.network.modules() if type(module).__name__.endswith(("RMSNorm", "LayerNorm"))]

    def own(layer, *parts):
        return [model.module(f"model.layers.{layer}.{part}_proj.weight") for part in parts]

    depth = range(model.architecture.n_layers)
    projections = [module for layer in depth for module in own(layer, "self_attn.q", "self_attn.k")]
    entering = ("mlp.up",) if isinstance(model.architecture, Ungated) else ("mlp.gate", "mlp.up")
    factors = {block.mlp: own(layer, *entering) for layer, block in enumerate(model.layers)}
    products = [module for both in factors.values() for module in both]
    down = {block.mlp: own(layer, "mlp.down")[0] for layer, block in enumerate(model.layers)}
    activation_of = {block.mlp: block.get_submodule(model.family.activation) for block in model.layers}
    seen, handles = {}, []
    for module in (*norms, *projections, *products):
        handles.append(module.register_forward_hook(lambda at, inputs, output: seen.update({at: (inputs[0], output)})))
    full_pass(model, stream)
    while handles:
        handles.pop().remove()

    def divides_by_a_constant(norm, inputs, _output):
        if type(norm).__name__ == "LayerNorm":
            centered, before = (stream - stream.mean(-1, keepdim=True) for stream in (inputs[0], seen[norm][0]))
            return norm.bias + centered * ((seen[norm][1] - norm.bias) / before)
        return inputs[0] * (seen[norm][1] / seen[norm][0])

    def half_through_each_factor(mlp, inputs, _output):
        first, last = factors[mlp][0], factors[mlp][-1]
        value = seen[first][1]
        activation = activation_of[mlp](value)
        if first is last:  # without a gate there is nothing to share
            return down[mlp](activation / value * first(inputs[0]))
        return down[mlp]((activation * last(inputs[0]) + activation / value * first(inputs[0]) * seen[last][1]) / 2)

    for module in projections:
        handles.append(module.register_forward_hook(lambda at, _inputs, _output: seen[at][1]))
    for module in norms:
        if module.weight.shape[0] == model.architecture.d_model:
            handles.append(module.register_forward_hook(divides_by_a_constant))
    for layer in model.layers:
        handles.append(layer.mlp.register_forward_hook(half_through_each_factor))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def test_relevance_patching_is_exact_patching_of_the_map_that_the_rules_see(uncapped):
    pair, totals, span = make_pair(uncapped, PROMPTS, "tokens", 5), dict.fromkeys(heads_and_mlps(uncapped.architecture), 0.0), 0.0
    with torch.no_grad():
        for row in range(len(pair.packed)):
            clean, corrupted = streams(pair, row)
            before, away = (answer_lead(full_pass(uncapped, stream), pair.options[row]).item() for stream in (clean, corrupted))
            there, span = outputs_of(uncapped, corrupted, totals), span + away - before
            with held(uncapped, clean):
                assert answer_lead(full_pass(uncapped, clean), pair.options[row]).item() == pytest.approx(before, abs=1e-4)
                for component in totals:
                    totals[component] += lead_with(uncapped, clean, {component: there[component]}, pair.options[row]) - before
    scores = attribution_patching(uncapped, PROMPTS, corruption="tokens", direction="noise", seed=5, slope="relevance")
    assert scores.values == pytest.approx({component: total / span for component, total in totals.items()}, abs=1e-4, rel=1e-3)
    plain = attribution_patching(uncapped, PROMPTS, corruption="tokens", direction="noise", seed=5)
    assert scores.values != pytest.approx(plain.values, abs=0.05)


def hooks_left(model):
    # transformers leaves hooks of its own where a test asked it for hidden states: only what is new counts.
    return {(id(module), key) for module in model.network.modules() for key in (*module._forward_hooks, *module._forward_pre_hooks)}


def test_rules_end_with_the_block(tiny):
    batch, own = unshared(tiny), hooks_left(tiny)
    entry = enter(tiny, batch, 0)
    _, before = lead_and_slope(tiny, batch, entry)
    with relevance_rules(tiny):
        _, within = lead_and_slope(tiny, batch, entry)
        assert hooks_left(tiny) - own
    _, after = lead_and_slope(tiny, batch, entry)
    assert torch.equal(before, after)
    assert not torch.allclose(before, within, atol=1e-3)
    with pytest.raises(KeyboardInterrupt), relevance_rules(tiny):
        raise KeyboardInterrupt
    assert hooks_left(tiny) == own


def test_relevance_patching_leaves_nothing_on_the_model(tiny_gemma3):
    own = hooks_left(tiny_gemma3)
    attribution_patching(tiny_gemma3, PROMPTS, corruption="noise", direction="noise", seed=0, slope="relevance")
    assert hooks_left(tiny_gemma3) == own
    assert not any(weight.requires_grad for weight in tiny_gemma3.parameters.values())
