"""Patched corrupted runs that are each drawn anew, as in the paper's released code."""

from itertools import combinations

import pytest
import torch
from brute_force import PROMPTS, answer_lead, full_pass, lead_with, outputs_of, streams

from mechlib.components import heads_and_mlps
from mechlib.patching.activation import activation_patching
from mechlib.patching.pairs import make_pair

CORRUPTIONS = pytest.mark.parametrize("corruption", ["noise", "tokens"])


def by_hand(model, corruption, seed, batch_size):
    """Scores with the clean output of each component in a corrupted run of its own."""
    components = heads_and_mlps(model.architecture)
    totals, span, n_sites = dict.fromkeys(components, 0.0), 0.0, model.architecture.n_heads + 1
    for start in range(0, len(PROMPTS), batch_size):
        pair = make_pair(model, PROMPTS[start : start + batch_size], corruption, seed)
        for row in range(len(pair.packed)):
            clean, corrupted = streams(pair, row)
            before, away = (answer_lead(full_pass(model, stream), pair.options[row]).item() for stream in (corrupted, clean))
            span, there = span + away - before, outputs_of(model, clean, components)
            for component in components:
                number = model.architecture.n_heads if component.kind == "mlp" else component.index
                drawn = pair.corrupt(1 + component.layer * n_sites + number)
                own = drawn.at(pair.packed.paths[row])
                totals[component] += lead_with(model, own, {component: there[component]}, pair.options[row]) - before
    return {component: total / span for component, total in totals.items()}


@CORRUPTIONS
def test_each_component_has_a_corrupted_run_of_its_own(tiny_gemma3, corruption):
    with torch.no_grad():
        expected = by_hand(tiny_gemma3, corruption, seed=5, batch_size=3)
    asked = {"corruption": corruption, "direction": "denoise", "seed": 5, "batch_size": 3}
    scores, drawn_once = (activation_patching(tiny_gemma3, PROMPTS, **asked, redraw=redraw) for redraw in (True, False))
    assert scores.values == pytest.approx(expected, abs=1e-4, rel=1e-4)
    # What a component's score is a share of is drawn once.
    assert (scores.clean, scores.corrupted, scores.spans) == (drawn_once.clean, drawn_once.corrupted, drawn_once.spans)
    assert scores.values != pytest.approx(drawn_once.values, abs=1e-2)


@CORRUPTIONS
def test_no_two_runs_of_neighbouring_batches_are_drawn_alike(tiny_gemma3, corruption):
    arch = tiny_gemma3.architecture
    runs = range(1 + arch.n_layers * (arch.n_heads + 1))
    pairs = [make_pair(tiny_gemma3, PROMPTS, corruption, seed) for seed in (5, 5 + 16)]
    draws = [pair.corrupt(number) for pair in pairs for number in runs]
    assert not any(torch.equal(one.stream, other.stream) for one, other in combinations(draws, 2))
    for pair in pairs:
        assert torch.equal(pair.corrupt(0).stream, pair.corrupted.stream)
        assert torch.equal(pair.corrupt(7).stream, pair.corrupt(7).stream)


@CORRUPTIONS
def test_a_draw_changes_the_subject_only(tiny, corruption):
    pair = make_pair(tiny, PROMPTS, corruption, seed=1)
    inside = (pair.clean.stream != pair.corrupted.stream).any(-1)
    for number in (1, 2):
        changed = (pair.clean.stream != pair.corrupt(number).stream).any(-1)
        assert torch.equal(changed, inside)


def test_copies_of_a_text_are_drawn_together(tiny_gemma3):
    pair = make_pair(tiny_gemma3, PROMPTS, "tokens", seed=0)
    assert torch.equal(pair.repeated(3).corrupt(2).stream, pair.corrupt(2).stream.repeat(3, 1, 1))


def test_one_ordinary_token_leaves_nothing_to_draw(tiny_gemma3, monkeypatch):
    monkeypatch.setattr("mechlib.patching.pairs.ordinary_tokens", lambda _model: torch.tensor([11]))
    one, other = (
        activation_patching(tiny_gemma3, PROMPTS, corruption="tokens", direction="denoise", seed=0, redraw=redraw, by_position=True)
        for redraw in (True, False)
    )
    assert one.values == pytest.approx(other.values, abs=1e-5)
    for component, expected in other.positions.items():
        assert one.positions[component] == pytest.approx(expected, abs=1e-5)


def test_only_a_patched_corrupted_run_can_be_drawn_anew(tiny_gemma3):
    with pytest.raises(ValueError, match="denoise"):
        activation_patching(tiny_gemma3, PROMPTS, corruption="noise", direction="noise", seed=0, redraw=True)
