"""Exact activation patching against a loop that patches one component of one text at a time."""

import pytest
import torch
from brute_force import PROMPTS, loop_over_components
from hooked import hooked

from mechlib.components import Component, heads_and_mlps, modules
from mechlib.models.forward import hidden_states, residual_stream, tokenize
from mechlib.models.tokens import answer_token
from mechlib.patching.activation import activation_patching
from mechlib.patching.scores import Scores


@pytest.mark.parametrize("direction", ["denoise", "noise"])
@pytest.mark.parametrize("corruption", ["noise", "tokens"])
def test_exact_patching_equals_a_loop_over_components(tiny, corruption, direction):
    # Two batches, the second smaller, each with its own draw.
    with torch.no_grad():
        expected, ends = loop_over_components(tiny, PROMPTS, corruption, direction, seed=5, batch_size=3)
    scores = activation_patching(tiny, PROMPTS, corruption=corruption, direction=direction, seed=5, batch_size=3)
    assert scores.values.keys() == expected.keys() == set(heads_and_mlps(tiny.architecture))
    assert scores.values == pytest.approx(expected, abs=1e-4, rel=5e-4)
    assert [scores.clean, scores.corrupted] == pytest.approx(ends, abs=1e-4)
    assert max(map(abs, expected.values())) > 0.05


def test_the_clean_logit_difference_is_the_models_own(tiny):
    scores = activation_patching(tiny, PROMPTS, corruption="noise", direction="denoise", seed=0)
    leads = []
    for asked in PROMPTS:
        with torch.no_grad():
            logits = tiny.network(**tiny.tokenizer(asked.text, return_tensors="pt")).logits[0, -1]
        others = [answer_token(tiny, option) for option in asked.options if option != asked.answer]
        leads.append((logits[answer_token(tiny, asked.answer)] - logits[others].mean()).item())
    assert scores.clean == pytest.approx(sum(leads) / len(leads), abs=1e-4)


def test_outputs_add_up_to_the_change_of_the_residual_stream(tiny):
    batch = tokenize(tiny, [asked.text for asked in PROMPTS])
    wrapped, depth = hooked(tiny), tiny.architecture.n_layers
    outputs, final = {}, []

    def keeper(component):
        return lambda tensor, hook: outputs.update({component: tensor})

    hooks = [(component.hook, keeper(component)) for component in modules(tiny.architecture)]
    with torch.no_grad():
        hidden_states(wrapped.model, batch, hooks=wrapped.bridge.hooks(fwd_hooks=hooks))
    handle = tiny.final_norm.register_forward_pre_hook(lambda _module, arguments: final.append(arguments[0].detach()))
    try:
        with torch.no_grad():
            hidden_states(tiny, batch)
    finally:
        handle.remove()
    entering = [entry.stream for entry in residual_stream(tiny, batch, range(depth))]
    for layer, (before, after) in enumerate(zip(entering, [*entering[1:], final[-1]], strict=True)):
        written = outputs[Component(layer, "attn")] + outputs[Component(layer, "mlp")]
        real = torch.cat(batch.paths).unique()
        change, written = ((tensor.flatten(0, 1)[real]) for tensor in (after - before, written))
        torch.testing.assert_close(change, written, atol=1e-4, rtol=1e-4)
        assert written.abs().max() > 0.1


def test_batches_change_nothing_but_the_draw(tiny_gemma3, monkeypatch):
    # With one ordinary token to draw, the corruption is the same however the texts are batched.
    monkeypatch.setattr("mechlib.patching.pairs.ordinary_tokens", lambda _model: torch.tensor([11]))
    for direction in ("denoise", "noise"):
        one, all_at_once = (
            activation_patching(tiny_gemma3, PROMPTS, corruption="tokens", direction=direction, seed=0, batch_size=size) for size in (1, 16)
        )
        assert one.values == pytest.approx(all_at_once.values, abs=1e-4, rel=1e-4)
        assert (one.clean, one.corrupted) == pytest.approx((all_at_once.clean, all_at_once.corrupted), abs=1e-4)


def test_equal_seeds_agree_and_others_differ(tiny_gemma3):
    def scores(seed, corruption):
        return activation_patching(tiny_gemma3, PROMPTS, corruption=corruption, direction="denoise", seed=seed)

    for corruption in ("noise", "tokens"):
        first, again, other = (scores(seed, corruption) for seed in (3, 3, 4))
        assert first == again
        assert first.values != other.values
        assert first.clean == pytest.approx(other.clean, abs=1e-5)


def test_progress_counts_prompts_and_scores_survive_json(tiny_gemma3):
    seen = []
    scores = activation_patching(
        tiny_gemma3, PROMPTS, corruption="noise", direction="noise", seed=0, batch_size=2, progress=lambda *done: seen.append(done)
    )
    assert seen == [(min(done, len(PROMPTS)), len(PROMPTS)) for done in range(2, len(PROMPTS) + 2, 2)]
    assert Scores.from_json(scores.to_json()) == scores
