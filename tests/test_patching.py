"""Exact activation patching against a loop that patches one component of one text at a time."""

from contextlib import contextmanager

import pytest
import torch

from mechlib.components import Component, modules, nodes
from mechlib.facts import FORMATS, athletes, prompts
from mechlib.models.forward import answer_logits, residual_stream, tokenize
from mechlib.models.hooked import hooked
from mechlib.models.tokens import answer_token
from mechlib.patching.activation import activation_patching
from mechlib.patching.pairs import make_pair
from mechlib.patching.scores import Scores

# Subjects of two to four words: batches need padding.
SUBJECTS = ("Aaron Judge", "Cal Ripken Jr.", "Amar'e Stoudemire", "LeBron James", "Patrick Mahomes")
PROMPTS = prompts([fact for fact in athletes() if fact.subject in SUBJECTS], FORMATS["one_shot"])


def module_of(model, component):
    """The module whose output (or for a head, whose input) is the component's activation."""
    layer = model.layers[component.layer]
    if component.kind == "head":
        return layer.self_attn.o_proj
    after = "post_feedforward_layernorm" if component.kind == "mlp" else "post_attention_layernorm"
    has_post_norms = hasattr(layer, "post_feedforward_layernorm")
    return getattr(layer, after) if has_post_norms else (layer.mlp if component.kind == "mlp" else layer.self_attn)


@contextmanager
def changing(model, component, change):
    """Pass the component's activation, for all positions, through ``change``."""
    module, width = module_of(model, component), model.architecture.d_head
    if component.kind == "head":
        columns = slice(component.index * width, (component.index + 1) * width)

        def before(_module, arguments):
            heads = arguments[0].clone()
            heads[..., columns] = change(heads[..., columns])
            return (heads,)

        handle = module.register_forward_pre_hook(before)
    else:
        handle = module.register_forward_hook(lambda _module, _inputs, output: change(output))
    try:
        yield
    finally:
        handle.remove()


def full_pass(model, stream):
    """Logits after one unpadded text that enters the first layer as ``stream``: no cache, nothing skipped."""
    handle = model.layers[0].register_forward_pre_hook(lambda _module, arguments: (stream[None], *arguments[1:]), prepend=True)
    try:
        return model.network(torch.zeros(1, len(stream), dtype=torch.long), use_cache=False).logits[0, -1]
    finally:
        handle.remove()


def streams(pair, row):
    """What enters the first layer for one text, clean and corrupted."""
    length = pair.batch.lengths[row]
    return tuple(torch.cat([entry.prefix, entry.suffix[row, :length]]) for entry in (pair.clean, pair.corrupted))


def answer_lead(logits, options):
    return logits[options[0]] - logits[options[1:]].mean()


def brute_force(model, asked, corruption, direction, seed, batch_size):
    """Scores, and the mean clean and corrupted logit difference."""
    totals, ends = dict.fromkeys(nodes(model.architecture), 0.0), [0.0, 0.0]
    for start in range(0, len(asked), batch_size):
        pair = make_pair(model, asked[start : start + batch_size], corruption, seed + start)
        for row in range(len(pair.batch)):
            clean, corrupted = streams(pair, row)
            base, source = (corrupted, clean) if direction == "denoise" else (clean, corrupted)
            plain = [answer_lead(full_pass(model, stream), pair.options[row]) for stream in (clean, corrupted)]
            ends = [end + value.item() for end, value in zip(ends, plain, strict=True)]
            unpatched = plain[1] if direction == "denoise" else plain[0]
            for component in totals:
                kept = []
                with changing(model, component, lambda output: kept.append(output) or output):
                    full_pass(model, source)
                with changing(model, component, lambda _output: kept[0]):
                    patched = answer_lead(full_pass(model, base), pair.options[row])
                totals[component] += (patched - unpatched).item()
    span = (ends[0] - ends[1]) * (1 if direction == "denoise" else -1)
    return {component: total / span for component, total in totals.items()}, [end / len(asked) for end in ends]


@pytest.mark.parametrize("direction", ["denoise", "noise"])
@pytest.mark.parametrize("corruption", ["noise", "tokens"])
def test_exact_patching_equals_a_loop_over_components(tiny, corruption, direction):
    # Two batches, the second smaller, each with its own draw.
    with torch.no_grad():
        expected, ends = brute_force(tiny, PROMPTS, corruption, direction, seed=5, batch_size=3)
    scores = activation_patching(tiny, PROMPTS, corruption=corruption, direction=direction, seed=5, batch_size=3)
    assert scores.values.keys() == expected.keys() == set(nodes(tiny.architecture))
    assert scores.values == pytest.approx(expected, abs=1e-4, rel=1e-4)
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
    machine, depth = hooked(tiny), tiny.architecture.n_layers
    outputs, final = {}, []

    def keeper(component):
        return lambda tensor, hook: outputs.update({component: tensor})

    hooks = [(component.hook, keeper(component)) for component in modules(tiny.architecture)]
    with torch.no_grad():
        answer_logits(machine.model, batch, hooks=machine.bridge.hooks(fwd_hooks=hooks))
    handle = tiny.network.model.norm.register_forward_pre_hook(lambda _module, arguments: final.append(arguments[0]))
    try:
        entering = [entry.suffix for entry in residual_stream(tiny, batch, range(depth))]
    finally:
        handle.remove()
    for layer, (before, after) in enumerate(zip(entering, [*entering[1:], final[-1]], strict=True)):
        written = outputs[Component(layer, "attn")] + outputs[Component(layer, "mlp")]
        torch.testing.assert_close(after - before, written, atol=1e-4, rtol=1e-4)
        assert written.abs().max() > 0.1


def test_batches_change_nothing_but_the_draw(tiny, monkeypatch):
    # With one ordinary token to draw, the corruption is the same however the texts are batched.
    monkeypatch.setattr("mechlib.patching.pairs._ordinary_tokens", lambda _model: [11])
    for direction in ("denoise", "noise"):
        one, all_at_once = (
            activation_patching(tiny, PROMPTS, corruption="tokens", direction=direction, seed=0, batch_size=size) for size in (1, 16)
        )
        assert one.values == pytest.approx(all_at_once.values, abs=1e-4, rel=1e-4)
        assert (one.clean, one.corrupted) == pytest.approx((all_at_once.clean, all_at_once.corrupted), abs=1e-4)


def test_equal_seeds_agree_and_others_differ(tiny_gemma3):
    def scores(seed, corruption):
        return activation_patching(tiny_gemma3, PROMPTS, corruption=corruption, direction="denoise", seed=seed)

    for corruption in ("noise", "tokens"):
        assert scores(3, corruption) == scores(3, corruption)
        assert scores(3, corruption).values != scores(4, corruption).values
        assert scores(3, corruption).clean == pytest.approx(scores(4, corruption).clean, abs=1e-5)


def test_progress_counts_prompts_and_scores_survive_json(tiny_gemma3):
    seen = []
    scores = activation_patching(
        tiny_gemma3, PROMPTS, corruption="noise", direction="noise", seed=0, batch_size=2, report=lambda *done: seen.append(done)
    )
    assert seen == [(min(done, len(PROMPTS)), len(PROMPTS)) for done in range(2, len(PROMPTS) + 2, 2)]
    assert Scores.from_json(scores.to_json()) == scores
