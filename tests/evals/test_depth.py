"""Depth of erasure is what patching by hand gives: 0 for the unedited model, 1 for one that sees a corrupted subject."""

from dataclasses import replace

import pytest
import torch
from editing import bits, same
from tiny_models import FAMILIES, tiny_model

from mechlib.evals.depth import DepthError, Reference, depth, references
from mechlib.facts import FORMATS, FactError, athletes, prompts, world_facts
from mechlib.models.tokens import option_tokens
from mechlib.patching.pairs import make_pair

PROMPTS = prompts([replace(fact, target="golf") for fact in athletes().facts[::150]], FORMATS["one_shot"])


def measured(model, original, asked=PROMPTS, seed=0, *, least_drop=0.1, batch_size=64, **reference):
    """Depth with references of the same prompts."""
    known = references(original, asked, seed, batch_size=batch_size, **reference)
    return depth(model, original, asked, known, least_drop=least_drop, batch_size=batch_size)


def patched(model, original, asked, layer):
    """Logit difference in the original with the other model's stream at the last token after a layer, with the library's own hooks."""
    encoded, tokens = original.tokenizer(asked.text, return_tensors="pt"), option_tokens(original, asked)

    def last(_module, _inputs, output):
        return torch.cat([output[:, :-1], donor[None, None]], 1)

    with torch.no_grad():
        donor = model.network(**encoded, output_hidden_states=True).hidden_states[layer + 1][0, -1]
        handle = original.layers[layer].register_forward_hook(last)
        try:
            logits = original.network(**encoded).logits[0, -1]
        finally:
            handle.remove()
    return (logits[tokens[0]] - logits[tokens[1:]].mean()).item()


@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_patching_of_the_last_token(family):
    original, other = tiny_model(family), tiny_model(family, seed=1)
    weights = bits(original), bits(other)
    rows = measured(other, original, least_drop=0.01, draws=1)
    layers = range(original.architecture.n_layers - 1)
    assert [(row.subject, row.layer) for row in rows] == [(asked.fact.subject, layer) for asked in PROMPTS for layer in layers]
    for row, asked in zip(rows, [asked for asked in PROMPTS for _ in layers], strict=True):
        assert row.edited == pytest.approx(patched(other, original, asked, row.layer), abs=1e-3)
        assert row.clean == pytest.approx(patched(original, original, asked, row.layer), abs=1e-3)
    assert all(same(before, bits(model)) for before, model in zip(weights, (original, other), strict=True))


def test_nothing_is_erased_from_the_model_itself(tiny):
    rows = measured(tiny.shared_copy(), tiny)
    assert [row.edited for row in rows] == pytest.approx([row.clean for row in rows], abs=1e-4)
    told = [row.erased for row in rows if row.erased is not None]
    assert told
    assert max(told) < 0.01


@pytest.mark.parametrize("corruption", ["noise", "tokens"])
def test_everything_is_erased_from_a_model_that_sees_a_corrupted_subject(tiny, corruption):
    pair, blind = make_pair(tiny, PROMPTS, corruption, seed=5), tiny.shared_copy()
    blind.layers[0].register_forward_pre_hook(lambda _module, arguments: (pair.corrupted.stream, *arguments[1:]))
    rows = measured(blind, tiny, seed=5, corruption=corruption, least_drop=0.01, draws=1)
    assert [row.edited for row in rows] == pytest.approx([row.corrupted for row in rows], abs=1e-4)
    told = [row.erased for row in rows if row.erased is not None]
    assert told
    assert min(told) > 0.95


def test_the_share_is_bounded_and_missing_where_corruption_takes_nothing():
    rows = measured(tiny_model("llama", seed=1), tiny_model("llama"), draws=2)
    assert {row.erased is None for row in rows} == {True, False}
    for row in rows:
        drop = row.clean - row.corrupted
        assert (row.erased is None) == (drop < 0.1)
        if row.erased is not None:
            assert row.erased == pytest.approx(min(1, max(0, (row.clean - row.edited) / drop)))


def test_the_seed_decides_and_batches_change_nothing(tiny_gemma3):
    other = tiny_model("gemma3", seed=1)
    first, again, apart, small = (
        measured(other, tiny_gemma3, PROMPTS, seed, batch_size=size) for seed, size in ((0, 64), (0, 64), (1, 64), (0, 3))
    )
    assert first == again
    for rows in (apart, small):
        for name in ("clean", "edited"):
            assert [getattr(row, name) for row in rows] == pytest.approx([getattr(row, name) for row in first], abs=1e-4)
    assert [row.corrupted for row in small] == pytest.approx([row.corrupted for row in first], abs=1e-4)
    assert [row.corrupted for row in apart] != pytest.approx([row.corrupted for row in first], abs=1e-2)
    backwards = measured(other, tiny_gemma3, PROMPTS[::-1])
    corrupted = {(row.subject, row.layer): row.corrupted for row in backwards}
    assert corrupted == pytest.approx({(row.subject, row.layer): row.corrupted for row in first}, abs=1e-4)


def test_without_a_reference_there_is_no_depth(tiny_gemma3):
    with pytest.raises(DepthError, match="the reference needs at least 1 draw, not 0"):
        references(tiny_gemma3, PROMPTS, 0, draws=0)
    layers = tiny_gemma3.architecture.n_layers - 1
    right = [Reference(0.0, (0.0,) * layers)] * len(PROMPTS)
    for known, least_drop in ((right[1:], 0.5), ([*right[1:], Reference(0.0, ())], 0.5), (right, 0.0), (right, float("nan"))):
        with pytest.raises(DepthError, match=f"a least drop above 0 and a reference of {layers} layers for each of {len(PROMPTS)}"):
            depth(tiny_gemma3, tiny_gemma3, PROMPTS, known, least_drop=least_drop)


def test_an_answer_needs_others_to_compare_with(tiny_gemma3):
    fact = world_facts().facts[0]
    (lonely,) = prompts([replace(fact, target=None)], FORMATS["statement"])
    pair = replace(PROMPTS[1], options=(PROMPTS[1].answer, next(one for one in PROMPTS[1].options if one != PROMPTS[1].answer)))
    with pytest.raises(FactError, match="no other answer to compare with"):
        references(tiny_gemma3, [lonely], 0)
    with pytest.raises(FactError, match="no other answer to compare with"):
        depth(tiny_gemma3, tiny_gemma3, [lonely], [])
    # Two options or four: each is compared with its own.
    both = references(tiny_gemma3, [PROMPTS[0], pair], 0)
    apart = [references(tiny_gemma3, [asked], 0)[0] for asked in (PROMPTS[0], pair)]
    for one, other in zip(both, apart, strict=True):
        assert [one.clean, *one.corrupted] == pytest.approx([other.clean, *other.corrupted], abs=1e-4)
