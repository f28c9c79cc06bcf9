"""Packed texts compute what each text computes alone, forwards and backwards, in every family."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import tiny_model

from mechlib.models.forward import Entry, answer_logits, enter, hidden_at
from mechlib.models.packed import join, moved, pack

# Shared beginnings of several depths, a text inside another, twice the same text, and one that shares nothing.
TEXTS = [[2, 5, 6, 7], [2, 5, 6, 8, 9], [2, 5, 6], [2, 5, 9, 9, 9, 4], [2, 5, 6, 7], [3], [2, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7]]


def alone(model, text):
    """Final hidden states of one text by the network itself."""
    return model.network.base_model(input_ids=torch.tensor([text]), use_cache=False).last_hidden_state[0]


def close(found, expected):
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=2e-5)


@torch.no_grad()
def test_every_text_as_if_it_were_alone(tiny):
    for rows in (None, 1, 2, 4):
        packed = pack(tiny, TEXTS, rows)
        for text, path in zip(TEXTS, packed.paths, strict=True):
            assert packed.tokens.flatten()[path].tolist() == text
            close(hidden_at(tiny, packed, path), alone(tiny, text))
    logits = torch.stack([tiny.network(torch.tensor([text])).logits[0, -1] for text in TEXTS])
    close(answer_logits(tiny, pack(tiny, TEXTS)), logits.float())


def test_no_beginning_stands_twice_in_a_row():
    packed = pack(ANY, TEXTS, 1)
    beginnings = {tuple(text[:end]) for text in TEXTS for end in range(1, len(text) + 1)}
    assert packed.tokens.numel() == len(beginnings)


@torch.no_grad()
def test_from_the_stream_at_any_layer_and_joined(tiny):
    first, second = pack(tiny, TEXTS[:4], 2), pack(tiny, TEXTS[4:], 2)
    both = join(first, second)
    for layer in range(tiny.architecture.n_layers):
        entries = [enter(tiny, part, layer) for part in (first, second)]
        for which, (part, entry) in enumerate(zip((first, second), entries, strict=True)):
            close(hidden_at(tiny, part, part.ends, entry), hidden_at(tiny, part, part.ends))
            nodes = moved(part.ends, first, second, which)
            joint = Entry(layer, torch.cat([entry.stream for entry in entries], 1))
            close(hidden_at(tiny, both, nodes, joint), hidden_at(tiny, part, part.ends))
    for text, path in zip(TEXTS, both.paths, strict=True):
        assert both.tokens.flatten()[path].tolist() == text


def test_gradients_are_those_of_the_texts_alone(tiny):
    weight = tiny.parameters["model.layers.1.mlp.up_proj.weight"]
    weight.requires_grad_(True)
    try:
        packed = pack(tiny, TEXTS, 2)
        (found,) = torch.autograd.grad(hidden_at(tiny, packed, packed.ends).pow(3).sum(), weight)
        (expected,) = torch.autograd.grad(sum(alone(tiny, text)[-1].pow(3).sum() for text in TEXTS), weight)
    finally:
        weight.requires_grad_(False)
    torch.testing.assert_close(found, expected, atol=1e-4 * expected.abs().max().item(), rtol=1e-3)


@torch.no_grad()
def test_a_window_is_one_of_positions_and_not_of_nodes(tiny_gemma3):
    window = tiny_gemma3.network.config.sliding_window
    texts = [[2, *range(5, 5 + window + 3), end] for end in (3, 4)]
    packed = pack(tiny_gemma3, texts, 1)
    for text, path in zip(texts, packed.paths, strict=True):
        close(hidden_at(tiny_gemma3, packed, path[-1:]), alone(tiny_gemma3, text)[-1:])


ANY = tiny_model("gemma3")


def test_from_a_given_position_on_nothing_is_shared():
    packed = pack(ANY, TEXTS, 1, share_at_most=2)
    assert packed.tokens.numel() == len({tuple(text[:end]) for text in TEXTS for end in (1, 2) if end <= len(text)}) + sum(
        max(0, len(text) - 2) for text in TEXTS
    )
    for text, path in zip(TEXTS, packed.paths, strict=True):
        close(hidden_at(ANY, packed, path), alone(ANY, text))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=1, max_size=12), st.integers(1, 4))
def test_nodes_see_their_own_text_and_nothing_else(texts, rows):
    packed = pack(ANY, texts, rows)
    width = packed.tokens.shape[1]
    for text, path in zip(texts, packed.paths, strict=True):
        assert packed.tokens.flatten()[path].tolist() == text
        assert packed.positions.flatten()[path].tolist() == list(range(len(text)))
        assert len({int(node) // width for node in path}) == 1
        for length, node in enumerate(path.tolist(), start=1):
            seen = packed.visible[node // width, node % width].nonzero()[:, 0] + node // width * width
            assert sorted(seen.tolist()) == sorted(path[:length].tolist())
