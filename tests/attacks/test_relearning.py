"""Relearning: what true answers teach and false ones do not, and whose answers the false ones are."""

import inspect
import math
import random
from collections import Counter
from dataclasses import replace
from itertools import permutations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mechlib.attacks.attack import Knowledge
from mechlib.attacks.finetuning import FineTuningError
from mechlib.attacks.relearning import derangement, permuted, relearning
from mechlib.evals.answers import answer_prompts
from mechlib.facts import FORMATS, Fact, athletes, prompts, world_facts

FACTS = random.Random(0).sample(tuple(athletes()), 20)
PROMPTS = prompts(FACTS, FORMATS["one_shot"])
TEXTS = [[1, *range(5, 14)], [1, *range(30, 36)]]
SETTINGS = {"ranks": [3], "learning_rates": [1e-2], "steps": 6, "checkpoints": [2, 6]}
LONG = {"steps": 60, "checkpoints": [60], "ranks": [8]}


def knowledge(model, relearn=PROMPTS[:6], retain=PROMPTS[6:12]):
    return Knowledge(relearn, retain, TEXTS, model)


def curve(model, known=None, seed=0, asked=PROMPTS, **settings):
    known = known or knowledge(model)
    return [(a.setting, a.step, answer_prompts(a.model, asked)) for a in relearning(model, known, seed, **{**SETTINGS, **settings})]


def share(answers):
    """Mean logarithm of the share that the right answer has among the options."""
    return sum(math.log(answer.probability) for answer in answers) / len(answers)


def test_true_answers_are_relearned_and_permuted_ones_are_not(tiny):
    asked = PROMPTS[:6]
    before, false = share(answer_prompts(tiny, asked)), permuted(asked, 0)
    ((*_, taught),), ((*_, nothing),) = (curve(tiny, asked=asked, labels=labels, **LONG) for labels in ("true", "none"))
    ((*_, answers),) = curve(tiny, asked=[*asked, *false], labels="permuted", **LONG)
    assert share(taught) > before + 0.5 and share(taught) > max(share(answers[:6]), share(nothing)) + 0.5
    assert share(answers[6:]) > share(answer_prompts(tiny, false)) + 0.5


def test_one_curve_for_each_rank_and_learning_rate_from_the_model_as_it_is(tiny_gemma3):
    before = {name: weight.clone() for name, weight in tiny_gemma3.network.state_dict().items()}
    both = curve(tiny_gemma3, ranks=[2, 0], learning_rates=[1e-2, 1e-3])
    expected = ["LoRA 2, 0.01", "LoRA 2, 0.001", "full, 0.01", "full, 0.001"]
    assert [(setting, step) for setting, step, _ in both] == [(setting, step) for setting in expected for step in (2, 6)]
    assert curve(tiny_gemma3, ranks=[0], learning_rates=[1e-3]) == both[-2:]
    assert all(torch.equal(before[name], weight) for name, weight in tiny_gemma3.network.state_dict().items())


def test_an_edit_that_is_applied_is_attacked(tiny_gemma3):
    weight = tiny_gemma3.parameters["model.layers.1.mlp.down_proj.weight"]
    kept, plain = weight.data, answer_prompts(tiny_gemma3, PROMPTS)
    weight.data = kept.flip(0)
    try:
        edited, attacked = answer_prompts(tiny_gemma3, PROMPTS), curve(tiny_gemma3, learning_rates=[0.0], ranks=[2, 0])
    finally:
        weight.data = kept
    assert edited != plain and all(answers == edited for _, _, answers in attacked)


def test_closed_early_it_leaves_the_model_alone(tiny):
    before, running = answer_prompts(tiny, PROMPTS), relearning(tiny, knowledge(tiny), 0, **SETTINGS)
    next(running)
    running.close()
    assert answer_prompts(tiny, PROMPTS) == before


def test_a_seed_decides(tiny_gemma3):
    first = curve(tiny_gemma3)
    assert curve(tiny_gemma3) == first and curve(tiny_gemma3, seed=1) != first
    assert [step for _, step, _ in curve(tiny_gemma3, checkpoints=[0, 6])] == [6]


def test_without_labels_nothing_of_the_relearn_facts_is_seen(tiny_gemma3):
    others = knowledge(tiny_gemma3, relearn=PROMPTS[12:18])
    assert curve(tiny_gemma3, labels="none") == curve(tiny_gemma3, others, labels="none")
    assert curve(tiny_gemma3) != curve(tiny_gemma3, others)


def test_retain_prompts_and_texts_can_be_left_out(tiny_gemma3):
    alone = Knowledge(PROMPTS[:6], [], [], tiny_gemma3)
    assert curve(tiny_gemma3, retain_batch=0, text_batch=0) == curve(tiny_gemma3, alone)
    assert curve(tiny_gemma3, retain_batch=6) == curve(tiny_gemma3) != curve(tiny_gemma3, retain_batch=2)


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=40), st.integers(0, 9))
def test_as_few_labels_as_possible_stay(labels, seed):
    moved = derangement(labels, seed)
    most = max(Counter(labels).values())
    assert Counter(moved) == Counter(labels) and moved == derangement(labels, seed)
    assert sum(map(str.__eq__, moved, labels)) == max(0, 2 * most - len(labels))


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=6))
def test_no_other_order_moves_more(labels):
    best = min(sum(map(str.__eq__, order, labels)) for order in permutations(labels))
    assert sum(map(str.__eq__, derangement(labels, 0), labels)) == best


def test_a_derangement_is_no_renaming():
    labels = list("aaaaaabbbbbbcccccc")
    moved = [derangement(labels, seed) for seed in range(20)]
    assert len(set(map(tuple, moved))) == 20
    assert all(len(set(order[start : start + 6])) == 2 for order in moved for start in (0, 6, 12))


def test_permuted_facts_are_asked_as_before_and_get_one_false_answer_in_every_format():
    asked = [one for form in ("one_shot", "question", "multiple_choice") for one in prompts(FACTS, FORMATS[form])]
    false = permuted(asked, 0)
    assert [replace(one, answer="") for one in false] == [replace(one, answer="") for one in asked]
    for number, fact in enumerate(FACTS):
        plain, question, letters = false[number :: len(FACTS)]
        assert plain.answer == question.answer != f" {fact.answer}"
        assert plain.answer in plain.options and letters.answer in letters.options
        assert f"{letters.answer.strip()}.{plain.answer}\n" in letters.text.rpartition("Question:")[2]


def world(**counts):
    return [fact for relation, count in counts.items() for fact in [f for f in world_facts() if f.relation == relation][:count]]


def test_permuted_world_facts_stay_within_their_relation_where_they_can():
    asked = prompts([*world(capital=5, mother_tongue=1, maker=1)], FORMATS["statement"])
    false = permuted(asked, 0)
    assert {one.answer for one in false[:5]} == {one.answer for one in asked[:5]}
    assert [one.answer for one in false[5:]] == [asked[6].answer, asked[5].answer]
    for new, old in zip(false, asked, strict=True):
        assert new.text == old.text and new.answer != old.answer
        assert new.options == (new.answer, old.target)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"labels": "false"}, "no labels 'false'"),
        ({"ranks": []}, "needs a rank"),
        ({"learning_rates": []}, "a learning rate"),
        ({"checkpoints": [7]}, "within 6 steps"),
        ({"checkpoints": [-1]}, "within 6 steps"),
        ({"ranks": [-2]}, "at least 0"),
        ({"steps": 0, "checkpoints": []}, "a step or more"),
    ],
)
def test_wrong_settings(tiny_gemma3, wrong, message):
    # As JSON gives them: unlike the type checker, it knows no literals.
    with pytest.raises(FineTuningError, match=message):
        next(inspect.unwrap(relearning)(tiny_gemma3, knowledge(tiny_gemma3), 0, **{**SETTINGS, **wrong}))


def test_nothing_to_relearn_and_nothing_to_permute(tiny_gemma3):
    with pytest.raises(FineTuningError, match="no facts to relearn"):
        curve(tiny_gemma3, Knowledge([], PROMPTS, TEXTS, tiny_gemma3))
    same = prompts([Fact(name, "sport", "golf") for name in ("A B", "C D")], FORMATS["one_shot"])
    with pytest.raises(FineTuningError, match="nothing to permute"):
        curve(tiny_gemma3, knowledge(tiny_gemma3, relearn=same), labels="permuted")
