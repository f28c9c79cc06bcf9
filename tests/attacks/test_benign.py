"""Benign fine-tuning: three kinds of examples, and none of them about an athlete who is asked."""

import random
import re

import pytest
import torch

from mechlib.attacks.attack import Knowledge
from mechlib.attacks.benign import TOPIC, _examples, benign, topic_prose
from mechlib.attacks.finetuning import FineTuningError
from mechlib.evals.answers import answer_prompts
from mechlib.facts import FORMATS, athletes, prompts
from mechlib.facts.relations import SPORT

PROMPTS = prompts(random.Random(0).sample(tuple(athletes()), 16), FORMATS["one_shot"])
TEXTS = [[1, *range(start, start + 8)] for start in range(5, 75, 10)]
KINDS = ["unrelated", "same template", "same topic"]
SETTINGS = {"kinds": KINDS, "sizes": [2, 5], "steps": 4, "learning_rate": 1e-2, "rank": 3}


def knowledge(model):
    return Knowledge(PROMPTS[:4], PROMPTS[4:12], TEXTS, model)


def after(model, seed=0, asked=PROMPTS, **settings):
    found = benign(model, knowledge(model), seed, **{**SETTINGS, **settings})
    return {(one.setting, one.step): answer_prompts(one.model, asked) for one in found}


def test_every_kind_and_size_from_the_model_as_it_is(tiny):
    weights, before = {name: weight.clone() for name, weight in tiny.network.state_dict().items()}, answer_prompts(tiny, PROMPTS)
    found = after(tiny)
    assert list(found) == [(f"{kind}, {size}", 4) for kind in KINDS for size in (2, 5)]
    assert len({str(answers) for answers in [before, *found.values()]}) == 7
    assert after(tiny, kinds=["same topic"], sizes=[5])["same topic, 5", 4] == found["same topic, 5", 4]
    assert all(torch.equal(weights[name], weight) for name, weight in tiny.network.state_dict().items())
    assert answer_prompts(tiny, PROMPTS) == before


def test_closed_early_it_leaves_the_model_alone(tiny_gemma3):
    before, running = answer_prompts(tiny_gemma3, PROMPTS), benign(tiny_gemma3, knowledge(tiny_gemma3), 0, **SETTINGS)
    next(running)
    running.close()
    assert answer_prompts(tiny_gemma3, PROMPTS) == before


def test_a_seed_decides_and_no_learning_rate_is_no_fine_tuning(tiny_gemma3):
    assert after(tiny_gemma3, sizes=[2]) == after(tiny_gemma3, sizes=[2]) != after(tiny_gemma3, 1, sizes=[2])
    assert all(answers == answer_prompts(tiny_gemma3, PROMPTS) for answers in after(tiny_gemma3, learning_rate=0.0).values())


def test_the_same_template_teaches_the_retain_facts_that_it_holds(tiny_gemma3):
    (answers,) = after(tiny_gemma3, asked=PROMPTS[4:12], kinds=["same template"], sizes=[8], batch=8, steps=10).values()
    before = answer_prompts(tiny_gemma3, PROMPTS[4:12])
    gains = [new.log_probability - old.log_probability for new, old in zip(answers, before, strict=True)]
    assert sum(gains) / 8 > 1


def test_examples_are_of_their_kind_alone_and_as_long_as_each_other(tiny_gemma3):
    known = knowledge(tiny_gemma3)
    template, unrelated, topic = (
        _examples(tiny_gemma3, known, kind, 0) for kind in ("same template", "unrelated", "same topic")
    )
    assert sorted(one.text for one in template[0]) == sorted(one.text for one in PROMPTS[4:12]) and template[1] == []
    assert unrelated[0] == [] and sorted(unrelated[1]) == TEXTS
    assert topic[0] == [] and {len(text) for text in topic[1]} == {9}
    assert _examples(tiny_gemma3, known, "same template", 1)[0] != template[0]


def test_the_topic_prose_is_about_three_sports_and_names_nobody(tiny_gemma3):
    paragraphs = TOPIC.read_text().strip().split("\n\n")
    assert len(set(paragraphs)) == len(paragraphs) == len(topic_prose(tiny_gemma3, 10)) >= 24
    assert all(35 <= len(one.split()) <= 55 for one in paragraphs)
    for sport in ("football", "baseball", "basketball"):
        assert sum(sport in one.lower() for one in paragraphs) >= 8
    names = {*athletes().subjects, *(athlete for athlete, _ in SPORT.demonstrations)}
    parts = {part for name in names for part in name.split()}
    assert not parts & set(re.findall(r"[A-Z][\w'-]+", " ".join(paragraphs)))
    assert not any("plays the sport" in one or "Fact:" in one or "Question:" in one for one in paragraphs)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kinds": ["harmful"]}, "no benign text of the kind 'harmful'"),
        ({"sizes": [8]}, "there are 7 examples of the kind 'unrelated', not 8"),
        ({"sizes": [0]}, "not 0"),
        ({"batch": 0}, "an example or more"),
        ({"rank": -1}, "at least 0"),
    ],
)
def test_wrong_settings(tiny_gemma3, wrong, message):
    with pytest.raises(FineTuningError, match=message):
        next(benign(tiny_gemma3, knowledge(tiny_gemma3), 0, **{**SETTINGS, **wrong}))
