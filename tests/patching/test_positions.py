"""Scores by class of token position: who is in which class, and patching there alone."""

import pytest
import torch
from brute_force import PROMPTS, answer_lead, full_pass, lead_with, outputs_of, streams
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import tiny_model

from mechlib.components import heads_and_mlps, modules
from mechlib.facts import FORMATS, prompts
from mechlib.models.packed import pack
from mechlib.patching.activation import activation_patching
from mechlib.patching.attribution import attribution_patching
from mechlib.patching.pairs import POSITIONS, _classes, make_pair

ANY = tiny_model("gemma3")
DIRECTIONS = pytest.mark.parametrize("direction", ["denoise", "noise"])


def name_of(position, first, last, end):
    """The class of a token; where several fit, the one that comes later in the text names it."""
    if position < first:
        return None
    if position in (end, last):
        return "prompt end" if position == end else "subject last"
    return "after subject" if position > last else "subject first" if position == first else "subject middle"


@st.composite
def spans(draw):
    """First and last position of the subject, and of the text's last token."""
    first, more, rest = (draw(st.integers(0, 3)) for _ in range(3))
    return first, first + more, first + more + rest


@given(st.lists(spans(), min_size=1, max_size=4))
def test_every_token_from_the_subject_on_is_in_one_class(drawn):
    packed = pack(ANY, [[2] * (end + 1) for *_, end in drawn], share_at_most=min(first for first, *_ in drawn))
    found = _classes(packed, [(first, last) for first, last, _ in drawn]).flatten()
    for path, (first, last, end) in zip(packed.paths, drawn, strict=True):
        named = [name_of(position, first, last, end) for position in range(end + 1)]
        assert [None if index < 0 else POSITIONS[index] for index in found[path].tolist()] == named


def classes_of(model, asked):
    """Positions of one text's tokens by class, from its characters."""
    spans = model.tokenizer(asked.text, return_offsets_mapping=True).offset_mapping
    inside = [n for n, (left, right) in enumerate(spans) if asked.subject_start <= left < right <= asked.subject_end]
    named = [name_of(position, inside[0], inside[-1], len(spans) - 1) for position in range(len(spans))]
    return {where: [position for position, found in enumerate(named) if found == where] for where in POSITIONS}


@pytest.mark.parametrize("form", ["one_shot", "cloze", "statement"])
def test_classes_are_those_of_the_text(tiny_gemma3, form):
    asked = prompts([prompt.fact for prompt in PROMPTS], FORMATS[form])
    pair = make_pair(tiny_gemma3, asked, "noise", seed=0)
    for row, prompt in enumerate(asked):
        for index, (where, positions) in enumerate(classes_of(tiny_gemma3, prompt).items()):
            found = (pair.classes.flatten()[pair.packed.paths[row]] == index).nonzero().flatten()
            assert found.tolist() == positions, where


def by_hand(model, direction, seed, batch_size):
    """Scores of whole modules patched at all positions, and at each class of positions alone."""
    wholes = modules(model.architecture)
    totals, parts, span = dict.fromkeys(wholes, 0.0), {whole: dict.fromkeys(POSITIONS, 0.0) for whole in wholes}, 0.0
    for start in range(0, len(PROMPTS), batch_size):
        asked = PROMPTS[start : start + batch_size]
        pair = make_pair(model, asked, "tokens", seed)
        for row, prompt in enumerate(asked):
            clean, corrupted = streams(pair, row)
            base, source = (corrupted, clean) if direction == "denoise" else (clean, corrupted)
            before, away = (answer_lead(full_pass(model, stream), pair.options[row]).item() for stream in (base, source))
            here, there = (outputs_of(model, stream, wholes) for stream in (base, source))
            span += away - before
            for whole in wholes:
                totals[whole] += lead_with(model, base, {whole: there[whole]}, pair.options[row]) - before
                for where, positions in classes_of(model, prompt).items():
                    mixed = here[whole].clone()
                    mixed[:, positions] = there[whole][:, positions]
                    parts[whole][where] += lead_with(model, base, {whole: mixed}, pair.options[row]) - before
    return {whole: total / span for whole, total in totals.items()}, {
        whole: {where: value / span for where, value in found.items()} for whole, found in parts.items()
    }


@DIRECTIONS
@pytest.mark.parametrize("family", ["gemma3", "llama"])
def test_patching_at_positions_equals_patching_them_by_hand(family, direction):
    model = tiny_model(family)
    with torch.no_grad():
        values, positions = by_hand(model, direction, seed=5, batch_size=3)
    scores = activation_patching(model, PROMPTS, corruption="tokens", direction=direction, seed=5, batch_size=3, by_position=True)
    assert scores.values == pytest.approx(values, abs=1e-4, rel=1e-4)
    assert scores.positions.keys() == positions.keys()
    for whole, expected in positions.items():
        assert scores.positions[whole] == pytest.approx(expected, abs=1e-4, rel=1e-4)
    for where in POSITIONS:
        assert max(abs(found[where]) for found in positions.values()) > 1e-3, where


@DIRECTIONS
def test_positions_of_attribution_add_up_to_its_scores(tiny, direction):
    for slope in ("gradient", "relevance"):
        scores = attribution_patching(tiny, PROMPTS, corruption="tokens", direction=direction, seed=5, batch_size=3, slope=slope)
        assert scores.positions.keys() == scores.values.keys() == set(heads_and_mlps(tiny.architecture))
        for component, value in scores.values.items():
            assert tuple(scores.positions[component]) == POSITIONS
            assert sum(scores.positions[component].values()) == pytest.approx(value, abs=1e-5)


def test_scores_of_heads_and_mlps_have_no_positions_when_patched_exactly(tiny_gemma3):
    scores = activation_patching(tiny_gemma3, PROMPTS, corruption="noise", direction="noise", seed=0)
    assert scores.positions == {}


def test_batches_change_nothing_but_the_draw(tiny_gemma3, monkeypatch):
    # Alone and together, texts lie in other rows: classes must not move.
    monkeypatch.setattr("mechlib.patching.pairs.ordinary_tokens", lambda _model: torch.tensor([11]))
    for method, options in ((activation_patching, {"by_position": True}), (attribution_patching, {})):
        one, all_at_once = (
            method(tiny_gemma3, PROMPTS, corruption="tokens", direction="denoise", seed=0, batch_size=size, **options) for size in (1, 16)
        )
        assert one.values == pytest.approx(all_at_once.values, abs=1e-4, rel=1e-3)
        for component, expected in all_at_once.positions.items():
            assert one.positions[component] == pytest.approx(expected, abs=1e-4, rel=1e-3)
