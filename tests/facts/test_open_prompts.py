"""Open relations: every token competes, a longer answer stands for its first token, and answers that share it are left out."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import tiny_model

from mechlib.evals.answers import answer_prompts
from mechlib.facts import FORMATS, Fact, FactError, FactSet, athletes, prompt, prompts, world_facts
from mechlib.models.tokens import answer_token, distinct, option_tokens
from mechlib.patching.pairs import make_pair
from mechlib.runs.knowledge import certainty, known_facts
from mechlib.runs.stages.answers import KnownSettings
from mechlib.runs.stages.answers import known as compute
from mechlib.runs.stages.settings import Subject
from mechlib.runs.work import Context, Work

MODEL = tiny_model("gemma3", world=True)
FACTS = world_facts().facts[::90]
OPEN = [asked for form in ("one_shot", "statement", "paraphrase_2") for asked in prompts(FACTS, FORMATS[form])]
ONE = OPEN[0]


def logits_of(text):
    with torch.no_grad():
        return MODEL.network(**MODEL.tokenizer(text, return_tensors="pt")).logits[0, -1].float()


def likeliest(asked, count=1):
    return [f" {word}" for word in MODEL.tokenizer.convert_ids_to_tokens(logits_of(asked.text).topk(count).indices.tolist())]


def aimed(asked, answer, target):
    return replace(asked, answer=answer, target=target, options=(answer, target))


def test_every_token_competes():
    for asked, found in zip(OPEN, answer_prompts(MODEL, OPEN, group="some"), strict=True):
        logits = logits_of(asked.text)
        chances, (own, target) = logits.softmax(-1), option_tokens(MODEL, asked)
        assert found.open
        assert found.said == likeliest(asked)[0].strip()
        assert (found.correct, found.edited) == (logits.argmax() == own, logits.argmax() == target)
        assert found.rank == (logits > logits[own]).sum()
        assert math.exp(found.log_probability) == pytest.approx(chances[own].item(), rel=1e-3)
        assert math.exp(found.target_log_probability) == pytest.approx(chances[target].item(), rel=1e-3)
        assert found.option_mass == pytest.approx((chances[own] + chances[target]).item(), rel=1e-3)
        assert found.probability == pytest.approx((chances[own] / (chances[own] + chances[target])).item(), abs=1e-3)


def test_said_is_the_likeliest_token_and_right_or_edited_by_it():
    best, second, third = likeliest(ONE, 3)
    asked = [aimed(ONE, best, second), aimed(ONE, second, best), aimed(ONE, second, third)]
    answers = answer_prompts(MODEL, asked)
    assert {answer.said for answer in answers} == {best.strip()}
    assert [(answer.correct, answer.edited, answer.rank) for answer in answers] == [(True, False, 0), (False, True, 1), (False, False, 1)]
    # A closed question is answered by the better of its options, whatever else is likelier.
    (closed,) = answer_prompts(MODEL, [replace(asked[2], open=False)])
    assert (closed.said, closed.correct, closed.open) == (second.strip(), True, False)


def test_a_fact_without_a_target_can_be_asked():
    (found,) = answer_prompts(MODEL, [prompt(replace(FACTS[0], target=None), FORMATS["statement"])])
    assert (found.target, found.target_probability, found.target_log_probability, found.edited) == (None, None, None, False)
    assert found.probability == pytest.approx(1.0)


def test_a_longer_answer_stands_for_its_first_token():
    best, second = likeliest(ONE, 2)
    short, long = answer_prompts(MODEL, [aimed(ONE, best, second), aimed(ONE, f"{best} Toyota", f"{second} Apple")], whole=False)
    assert replace(long, answer=short.answer) == short
    assert answer_token(MODEL, " Toyota Apple", first=True) == answer_token(MODEL, " Toyota")
    with pytest.raises(FactError, match="'Toyota Apple' is 2 tokens"):
        answer_token(MODEL, " Toyota Apple")


@pytest.mark.parametrize("text", ["", "  "])
def test_an_answer_without_tokens_is_an_error(text):
    with pytest.raises(FactError, match="0 tokens"):
        answer_token(MODEL, text, first=True)


@settings(max_examples=20)
@given(st.sampled_from(world_facts().facts))
def test_the_true_answer_is_the_first_option(fact):
    asked = prompt(fact, FORMATS["statement"])
    expected = [answer_token(MODEL, f" {fact.answer}"), answer_token(MODEL, f" {fact.target}")]
    assert option_tokens(MODEL, asked) == expected
    assert option_tokens(MODEL, replace(asked, options=asked.options[::-1])) == expected
    assert distinct(MODEL, asked)


@pytest.mark.parametrize(("answer", "target"), [(" Toyota Apple", " Toyota Sony"), (" Toyota", " Toyota Apple"), (" Xyzzy", " Plugh")])
def test_options_that_share_their_first_token_cannot_be_told_apart(answer, target):
    """The last two words are unknown to the tokenizer, which gives both the same token."""
    asked = aimed(ONE, answer, target)
    assert not distinct(MODEL, asked)
    with pytest.raises(FactError) as caught:
        option_tokens(MODEL, asked)
    assert "\n" not in str(caught.value)
    assert [word for word in (ONE.fact.subject, answer.strip(), target.strip(), MODEL.name) if word not in str(caught.value)] == []


def test_the_lead_of_an_open_prompt_is_that_of_the_true_answer_over_the_target():
    pair = make_pair(MODEL, OPEN[:4], "tokens", seed=0)
    with torch.no_grad():
        lead = pair.logit_difference(MODEL, pair.clean)
    for number, asked in enumerate(OPEN[:4]):
        own, target = option_tokens(MODEL, asked)
        logits = logits_of(asked.text)
        assert lead[number].item() == pytest.approx((logits[own] - logits[target]).item(), abs=1e-4)


def test_facts_whose_answers_cannot_be_told_apart_and_demonstrations_are_not_asked(tmp_path):
    clash = Fact("Prius", "maker", "Toyota Apple", "Toyota Sony")
    shown, plain, athlete = Fact("Corolla", "maker", "Toyota", "Sony"), Fact("Camry", "maker", "Toyota", "Sony"), athletes().facts[0]
    facts = FactSet("some", (clash, shown, plain, athlete))
    done = []
    context = Context(MODEL.spec, facts, progress=lambda *counts: done.append(counts))
    vars(context)["model"] = MODEL
    settings = KnownSettings(Subject("tiny", "float32", "some", "some"), FORMATS["one_shot"])
    rows = compute(Work(context, settings, {}, tmp_path)).rows
    assert [row["subject"] for row in rows] == ["Camry", athlete.subject]
    assert done == [(2, 2)]


def test_a_language_of_which_the_tokens_know_no_word_is_not_asked(tmp_path):
    context = Context(MODEL.spec, FactSet("some", athletes().facts[:3]))
    vars(context)["model"] = MODEL
    for form, asked in (("spanish", 0), ("word_choice", 3)):
        settings = KnownSettings(Subject("tiny", "float32", "some", "some"), FORMATS[form])
        assert len(compute(Work(context, settings, {}, tmp_path)).rows) == asked


def test_what_is_known_is_by_all_tokens_in_an_open_relation_and_by_the_options_in_a_closed_one():
    rows = [
        {"relation": "maker", "subject": "A", "open": True, "log_probability": math.log(0.6), "probability": 0.1},
        {"relation": "maker", "subject": "B", "open": True, "log_probability": math.log(0.4), "probability": 0.9},
        {"relation": "sport", "subject": "A", "open": False, "log_probability": math.log(0.6), "probability": 0.1},
        {"relation": "sport", "subject": "B", "open": False, "log_probability": math.log(0.4), "probability": 0.9},
    ]
    assert [certainty(row) for row in rows] == pytest.approx([0.6, 0.4, 0.1, 0.9])
    facts = FactSet("some", tuple(Fact(row["subject"], row["relation"], "golf") for row in rows))
    assert [(fact.relation, fact.subject) for fact in known_facts(facts, rows, 0.5)] == [("maker", "A"), ("sport", "B")]
