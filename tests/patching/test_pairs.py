"""A pair of runs: corrupted at the subject's last mention, by a seeded draw, and nowhere else."""

import pytest
import torch
from brute_force import PROMPTS, without_positions

from mechlib.facts import FORMATS, prompts
from mechlib.models.forward import answer_logits
from mechlib.models.tokens import answer_token, subject_positions
from mechlib.patching.pairs import make_pair

FACTS = [prompt.fact for prompt in PROMPTS]
CORRUPTIONS = pytest.mark.parametrize("corruption", ["noise", "tokens"])


@CORRUPTIONS
@pytest.mark.parametrize("form", ["one_shot", "cloze", "multiple_choice"])
def test_only_the_last_mention_of_the_subject_is_corrupted(tiny, corruption, form):
    asked = prompts(FACTS, FORMATS[form])
    pair = make_pair(tiny, asked, corruption, seed=1)
    changed = (pair.clean.stream != pair.corrupted.stream).any(-1).flatten()
    for row, prompt in enumerate(asked):
        spans = tiny.tokenizer(prompt.text, return_offsets_mapping=True).offset_mapping
        inside = {n for n, (left, right) in enumerate(spans) if prompt.subject_start <= left and right <= prompt.subject_end}
        assert set(changed[pair.packed.paths[row]].nonzero().flatten().tolist()) == inside
        assert subject_positions(tiny, prompt) == (min(inside), max(inside))


def test_the_clean_run_is_the_models_own(tiny):
    pair = make_pair(tiny, PROMPTS, "noise", seed=1)
    for row, prompt in enumerate(PROMPTS):
        encoded = tiny.tokenizer(prompt.text, return_tensors="pt")
        with torch.no_grad():
            plain = tiny.network(**encoded, output_hidden_states=True)
            logits = answer_logits(tiny, pair.packed, pair.clean)
        torch.testing.assert_close(pair.clean.at(pair.packed.paths[row]), plain.hidden_states[0][0])
        torch.testing.assert_close(logits[row], plain.logits[0, -1], atol=1e-4, rtol=1e-4)


@CORRUPTIONS
def test_the_seed_decides(tiny_gemma3, corruption):
    first, again, other = (make_pair(tiny_gemma3, PROMPTS, corruption, seed) for seed in (7, 7, 8))
    assert torch.equal(first.corrupted.stream, again.corrupted.stream)
    assert not torch.equal(first.corrupted.stream, other.corrupted.stream)
    assert torch.equal(first.clean.stream, other.clean.stream)


@CORRUPTIONS
def test_a_draw_leaves_the_global_generator_alone(tiny_gemma3, corruption):
    before = torch.get_rng_state()
    make_pair(tiny_gemma3, PROMPTS, corruption, seed=7)
    assert torch.equal(torch.get_rng_state(), before)


def test_noise_is_as_large_as_asked(tiny):
    asked = prompts(FACTS, FORMATS["cloze"]) * 12
    alone = [make_pair(tiny, [prompt], "noise", seed=0) for prompt in asked]
    real = torch.cat([without_positions(tiny, pair.clean.stream, pair.packed.positions).flatten() for pair in alone])
    for factor in (1.0, 3.0):
        pair = make_pair(tiny, asked, "noise", seed=3, noise=factor)
        added = (pair.corrupted.stream - pair.clean.stream)[(pair.corrupted.stream != pair.clean.stream).any(-1)]
        assert added.mean().abs() < 0.2 * factor * real.std()
        assert added.std().item() == pytest.approx(factor * real.std().item(), rel=0.15)


def test_random_tokens_are_ordinary_words(tiny):
    pair = make_pair(tiny, PROMPTS, "tokens", seed=4)
    table = tiny.network.get_input_embeddings()(torch.arange(len(tiny.tokenizer)))
    inside = (pair.corrupted.stream != pair.clean.stream).any(-1)
    # Gemma scales embeddings once more on the way in: compare directions.
    words = without_positions(tiny, pair.corrupted.stream, pair.packed.positions)[inside]
    drawn = torch.nn.functional.normalize(words, dim=-1) @ torch.nn.functional.normalize(table, dim=-1).T
    assert drawn.max(-1).values.min() > 1 - 1e-5
    words = tiny.tokenizer.convert_ids_to_tokens(drawn.argmax(-1).tolist())
    assert all(word.isascii() and word.isalpha() for word in words)
    assert len(set(words)) > 4


def test_options_begin_with_the_true_answer(tiny_gemma3):
    pair = make_pair(tiny_gemma3, PROMPTS, "noise", seed=0)
    for prompt, row in zip(PROMPTS, pair.options.tolist(), strict=True):
        assert row[0] == answer_token(tiny_gemma3, prompt.answer)
        assert sorted(row) == sorted(answer_token(tiny_gemma3, option) for option in prompt.options)


@CORRUPTIONS
def test_the_difference_is_the_models_own_logit_of_the_true_answer_less_the_mean_of_the_others(tiny, corruption):
    pair = make_pair(tiny, PROMPTS, corruption, seed=5)
    for entry in (pair.clean, pair.corrupted):
        with torch.no_grad():
            logits, difference = answer_logits(tiny, pair.packed, entry), pair.logit_difference(tiny, entry)
        for row, options in enumerate(pair.options.tolist()):
            assert difference[row].item() == pytest.approx((logits[row, options[0]] - logits[row, options[1:]].mean()).item(), abs=1e-4)


def test_copies_stand_one_after_the_other(tiny_gemma3):
    pair = make_pair(tiny_gemma3, PROMPTS, "tokens", seed=0)
    triple = pair.repeated(3)
    assert len(triple.packed) == 3 * len(PROMPTS)
    for number, path in enumerate(triple.packed.paths):
        own = pair.packed.paths[number % len(PROMPTS)]
        assert torch.equal(triple.corrupted.at(path), pair.corrupted.at(own))
        assert torch.equal(triple.packed.tokens.flatten()[path], pair.packed.tokens.flatten()[own])
        assert torch.equal(triple.options[number], pair.options[number % len(PROMPTS)])
