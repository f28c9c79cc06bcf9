"""Answers are read off the model's own logits, whatever the batching; damage is its loss and a true divergence."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import tiny_model

from mechlib.components import Component
from mechlib.edit.delta import Delta, EditError
from mechlib.edit.general_text import prose, sample
from mechlib.evals.answers import answer_prompts
from mechlib.evals.damage import damage
from mechlib.facts import FORMATS, FactError, athletes, formats_of, prompts
from mechlib.facts.relations import SPORT
from mechlib.models.tokens import answer_token

FACTS = [replace(fact, target="golf") if n % 2 else fact for n, fact in enumerate(athletes().facts[::160])]
FORMS = [FORMATS[form] for form in formats_of(SPORT) if FORMATS[form].language is None]
PROMPTS = [asked for form in FORMS for asked in prompts(FACTS, form, rotations=2)]
MODEL = tiny_model("gemma3")
NUMBERS = ("log_probability", "probability", "option_mass", "target_log_probability", "target_probability")


def logits_of(model, text):
    with torch.no_grad():
        return model.network(**model.tokenizer(text, return_tensors="pt")).logits[0, -1].float()


def numbers(answer):
    return [getattr(answer, name) or 0.0 for name in NUMBERS]


def test_a_translated_answer_of_several_tokens_stands_for_its_first():
    """The same four words, with another behind each."""
    plain = prompts(FACTS, FORMATS["few_shot"])
    longer = [replace(one, options=tuple(f"{option} team" for option in one.options), answer=f"{one.answer} team",
                      target=one.target and f"{one.target} team", translated=True) for one in plain]  # fmt: skip
    for first, second in zip(answer_prompts(MODEL, plain, whole=False), answer_prompts(MODEL, longer, whole=False), strict=True):
        assert numbers(first) == pytest.approx(numbers(second)) and (first.correct, first.edited) == (second.correct, second.edited)
        assert second.said == f"{first.said} team"
    with pytest.raises(FactError, match="one token"):
        answer_prompts(MODEL, [replace(longer[0], translated=False)], whole=False)


def test_answers_are_computed_from_the_models_logits(tiny):
    for asked, answer in zip(PROMPTS, answer_prompts(tiny, PROMPTS, group="some"), strict=True):
        logits = logits_of(tiny, asked.text)
        token = {option: answer_token(tiny, option) for option in asked.options}
        chances, own, target = logits.softmax(-1), token[asked.answer], token.get(asked.target)
        mass = sum(chances[number].item() for number in token.values())
        assert answer.log_probability == pytest.approx(chances[own].log().item(), abs=1e-4)
        assert answer.option_mass == pytest.approx(mass, rel=1e-3)
        assert answer.probability == pytest.approx(chances[own].item() / mass, abs=1e-4)
        if target is None:
            assert (answer.target_log_probability, answer.target_probability, answer.edited) == (None, None, False)
        else:
            assert answer.target_log_probability == pytest.approx(chances[target].log().item(), abs=1e-4)
            assert answer.target_probability == pytest.approx(chances[target].item() / mass, abs=1e-4)
        best = max(asked.options, key=lambda option: logits[token[option]].item())
        assert (answer.said, answer.correct, answer.edited) == (best.strip(), best == asked.answer, best == asked.target)
        # Batches round otherwise than one prompt alone, and of 256,000 logits some are that near.
        assert (logits > logits[own] + 1e-4).sum() <= answer.rank <= (logits > logits[own] - 1e-4).sum()
        assert (answer.subject, answer.answer, answer.target) == (asked.fact.subject, asked.fact.answer, asked.fact.target)
        assert (answer.format, answer.rotation, answer.group) == (asked.format, asked.rotation, "some")


def test_options_share_all_of_their_mass(tiny):
    asked = prompts(FACTS[:1], FORMATS["one_shot"])[0]
    each = [answer_prompts(tiny, [replace(asked, answer=option)])[0] for option in asked.options]
    assert sum(answer.probability for answer in each) == pytest.approx(1.0, abs=1e-5)
    assert sum(math.exp(answer.log_probability) for answer in each) == pytest.approx(each[0].option_mass, rel=1e-4)
    assert sum(answer.correct for answer in each) == 1


def test_rank_is_zero_for_the_token_that_the_model_prefers(tiny):
    asked = prompts(FACTS[:1], FORMATS["question"])[0]
    words = tiny.tokenizer.convert_ids_to_tokens(logits_of(tiny, asked.text).topk(3).indices.tolist())
    ranks = [answer_prompts(tiny, [replace(asked, answer=f" {word}", options=(f" {word}", *asked.options))])[0].rank for word in words]
    assert ranks == [0, 1, 2]
    before = [answer.rank == 0 for answer in answer_prompts(tiny, PROMPTS)]
    likeliest = [tiny.tokenizer.decode(logits_of(tiny, one.text).argmax()).strip() == one.answer.strip() for one in PROMPTS]
    assert before == likeliest


@settings(max_examples=5)
@given(st.permutations(range(len(PROMPTS[::3]))), st.integers(1, 20))
def test_order_and_batches_change_nothing(tiny, order, batch_size):
    asked = PROMPTS[::3]
    plain, shuffled = answer_prompts(tiny, asked), answer_prompts(tiny, [asked[index] for index in order], batch_size=batch_size)
    for place, index in enumerate(order):
        assert numbers(shuffled[place]) == pytest.approx(numbers(plain[index]), abs=1e-4)
        assert (shuffled[place].subject, shuffled[place].format) == (plain[index].subject, plain[index].format)


def test_nothing_is_answered_when_nothing_is_asked(tiny_gemma3):
    assert answer_prompts(tiny_gemma3, []) == []


def test_an_answer_of_two_tokens_is_an_error(tiny_gemma3):
    (asked,) = prompts(FACTS[:1], FORMATS["one_shot"])
    for field in ({"options": (*asked.options, " ice hockey")}, {"answer": " ice hockey", "options": (*asked.options, " ice hockey")}):
        with pytest.raises(FactError, match="'ice hockey' is 2 tokens for tiny-gemma3"):
            answer_prompts(tiny_gemma3, [replace(asked, **field)], whole=False)


def one_weight(model, size):
    block = Component(1, "mlp").weights(model.architecture)[-1]
    change = torch.zeros(block.shape)
    change[3, 5] = size
    return Delta({block: change})


def test_damage_is_the_models_own_loss_and_a_divergence(tiny):
    texts = {"samples": sample(tiny, 3, 9, seed=1), "prose": prose(tiny, 3, 14) + [[1, 7, 8]]}
    delta = one_weight(tiny, 2.0)
    rows = damage(tiny, delta, texts)
    assert [(row.source, row.text) for row in rows] == [(source, n) for source, some in texts.items() for n in range(len(some))]
    for row in rows:
        tokens = torch.tensor([texts[row.source][row.text]])
        with torch.no_grad():
            before = tiny.network(input_ids=tokens, labels=tokens)
            changed = delta.edited(tiny)
            after = changed.network(input_ids=tokens, labels=tokens)
        old, new = (output.logits[0, :-1].float().log_softmax(-1) for output in (before, after))
        assert row.tokens == tokens.shape[1] - 1
        assert row.loss_before == pytest.approx(before.loss.item(), abs=1e-4)
        assert row.loss_after == pytest.approx(after.loss.item(), abs=1e-4)
        expected = torch.nn.functional.kl_div(new, old, log_target=True, reduction="batchmean").item()
        assert row.divergence == pytest.approx(expected, abs=1e-5, rel=1e-3)
        assert row.divergence > 1e-5


def test_damage_to_many_texts_is_the_damage_to_each(tiny_gemma3):
    """More texts than are compared at a time, and of different lengths: one row each, in their order."""
    texts, delta = [text[: 5 + number % 4] for number, text in enumerate(sample(tiny_gemma3, 19, 9, seed=2))], one_weight(tiny_gemma3, 2.0)
    rows = damage(tiny_gemma3, delta, {"samples": texts})
    assert [(row.text, row.tokens) for row in rows] == [(number, len(text) - 1) for number, text in enumerate(texts)]
    for row, text in zip(rows, texts, strict=True):
        (alone,) = damage(tiny_gemma3, delta, {"samples": [text]})
        found, expected = ((one.loss_before, one.loss_after, one.divergence) for one in (row, alone))
        assert found == pytest.approx(expected, abs=1e-5)


@settings(max_examples=15)
@given(st.floats(-4, 4).filter(lambda size: abs(size) > 0.05), st.integers(0, 9))
def test_a_change_of_one_weight_never_diverges_less_than_nothing(size, seed):
    (row,) = damage(MODEL, one_weight(MODEL, size), {"samples": sample(MODEL, 1, 12, seed)})
    # The divergence is a mean over the whole vocabulary: rounding can take a tiny one below zero.
    assert row.divergence > 0 or abs(row.divergence) < 1e-6
    assert row.divergence > 0 or abs(size) < 0.5


def test_a_delta_of_another_model_does_no_damage(tiny_gemma3):
    with pytest.raises(EditError, match="another model"):
        damage(tiny_gemma3, one_weight(tiny_model("gemma3", hidden_size=16), 1.0), {"samples": sample(tiny_gemma3, 1, 5, seed=0)})
