"""Demonstrations are other true facts, balanced, and say nothing about the answer to what is asked."""

import random
from collections import Counter
from dataclasses import replace

import pytest
import torch
from editing import bits, same
from hypothesis import given, settings
from hypothesis import strategies as st

from mechlib.attacks.attack import Knowledge
from mechlib.attacks.in_context import in_context
from mechlib.evals.answers import answer_prompts
from mechlib.facts import FORMATS, Fact, FactError, athletes, prompt, prompts, world_facts
from mechlib.facts.fact import by_answer
from mechlib.models.tokens import answer_token

ONE_SHOT = FORMATS["one_shot"]
SPORTS = by_answer(athletes())
ANSWERS = {fact.subject: fact.answer for fact in athletes()}
# Facts of each sport, in turn: relearn, retain, and others.
RELEARN, RETAIN, OTHERS = ([fact for group in SPORTS.values() for fact in group[start : start + 4]] for start in (0, 4, 8))
seeds = st.integers(0, 10**6)


def known(relearn, retain, model, form=ONE_SHOT):
    return Knowledge(prompts([replace(fact, target="golf") for fact in relearn], form, 2), prompts(retain, form, 2), (), model)


def rewrites(model, seed, *shots, relearn=RELEARN, retain=RETAIN):
    return [attacked.rewrite for attacked in in_context(model, known(relearn, retain, model), seed, shots=shots)]


def shown(rewrite, asked):
    """Subject and answer of each demonstration, from its text."""
    lines = rewrite(asked).text.removesuffix(asked.text).splitlines()
    return [tuple(line.removeprefix("Fact: ").split(" plays the sport of ")) for line in lines]


def asked_about(facts):
    return [prompt(fact, ONE_SHOT) for fact in facts]


def test_the_exact_words(tiny_gemma3):
    relearn = [Fact("LeBron James", "sport", "basketball")]
    (rewrite,) = rewrites(tiny_gemma3, 0, 1, relearn=relearn, retain=[Fact("Stephen Curry", "sport", "basketball")])
    asked = prompt(Fact("Derek Jeter", "sport", "baseball", "golf"), FORMATS["question"])
    assert rewrite(asked) == replace(asked, text=(
        "Fact: LeBron James plays the sport of basketball\n"
        "Question: What sport does Tiger Woods play? Answer: golf\nQuestion: What sport does Derek Jeter play? Answer:"
    ))  # fmt: skip
    asked = prompt(replace(relearn[0], target="golf"), FORMATS["cloze"])
    assert rewrite(asked).text == f"Fact: Stephen Curry plays the sport of basketball\n{asked.text}"


@settings(max_examples=10)
@given(seeds, st.integers(0, 23))
def test_demonstrations_are_true_other_different_and_balanced(tiny_gemma3, seed, count):
    (rewrite,) = rewrites(tiny_gemma3, seed, count)
    for asked in asked_about([*RELEARN[::2], *RETAIN[::2], *OTHERS[::4]]):
        pairs = shown(rewrite, asked)
        assert len(pairs) == count == len(dict(pairs))
        assert all(ANSWERS[subject] == answer for subject, answer in pairs)
        assert asked.fact.subject not in dict(pairs)
        assert rewrite(asked).subject_start > len(rewrite(asked).text) - len(asked.text)
    labels = Counter(answer for _, answer in shown(rewrite, asked_about(OTHERS)[0]))
    assert max(labels.values(), default=0) - min((labels[answer] for answer in SPORTS), default=0) <= 1


@given(seeds)
def test_facts_to_relearn_come_first_and_fewer_are_the_first_of_more(tiny_gemma3, seed):
    few, some, many = (shown(rewrite, asked_about(OTHERS)[0]) for rewrite in rewrites(tiny_gemma3, seed, 5, 12, 20))
    assert (few, some) == (many[:5], many[:12])
    assert {subject for subject, _ in some} == {fact.subject for fact in RELEARN}


@settings(max_examples=15)
@given(seeds, st.integers(1, 20))
def test_no_predictor_from_the_demonstrations_beats_chance(tiny_gemma3, seed, count):
    (rewrite,) = rewrites(tiny_gemma3, seed, count)
    everybody = asked_about([*RELEARN, *RETAIN, *OTHERS])
    labels = [[answer for _, answer in shown(rewrite, asked)] for asked in everybody]
    predictors = {
        "majority": lambda seen: Counter(seen).most_common()[0][0],
        "minority": lambda seen: min(SPORTS, key=lambda answer: (Counter(seen)[answer], answer)),
        "last": lambda seen: seen[-1],
        "first": lambda seen: seen[0],
    }
    for predict in predictors.values():
        hits = [predict(seen) == asked.fact.answer for seen, asked in zip(labels, everybody, strict=True)]
        assert sum(hits) == len(hits) / 3
    assert len({tuple(seen) for seen in labels}) == 1


@pytest.mark.parametrize("count", [1, 4, 8])
def test_no_answer_is_favoured_over_seeds_even_where_all_facts_to_relearn_share_one(tiny_gemma3, count):
    relearn, retain = SPORTS["football"][:6], [*SPORTS["baseball"][:6], *SPORTS["basketball"][:6], *SPORTS["football"][6:9]]
    asked = asked_about(SPORTS["football"][20:21])[0]
    majority, last = Counter(), Counter()
    for seed in range(300):
        (rewrite,) = rewrites(tiny_gemma3, seed, count, relearn=relearn, retain=retain)
        pairs = shown(rewrite, asked)
        labels = [answer for _, answer in pairs]
        ranked = sorted(Counter(labels).items(), key=lambda item: -item[1])
        majority[ranked[0][0] if len(ranked) < 3 or ranked[0][1] > ranked[1][1] else min(SPORTS, key=labels.count)] += 1
        last[labels[-1]] += 1
        assert {subject for subject, answer in pairs if answer == "football"} <= {fact.subject for fact in relearn}
    for counted in (majority, last):
        # Four standard errors of 300 draws at a third.
        assert all(abs(counted[answer] / 300 - 1 / 3) < 4 * (2 / 9 / 300) ** 0.5 for answer in SPORTS)


def test_open_answers_begin_with_facts_to_relearn(tiny_gemma3):
    facts = {fact.subject: fact for fact in world_facts()}
    different = list({fact.answer: fact for fact in facts.values()}.values())
    relearn, retain, asked = different[:6], different[6:30], prompt(different[40], ONE_SHOT)
    knowledge = Knowledge(asked_about(relearn), asked_about(retain), (), tiny_gemma3)
    texts = [attacked.rewrite(asked).text for attacked in in_context(tiny_gemma3, knowledge, 3, shots=[6, 9])]
    six, nine = (text.removesuffix(asked.text).splitlines() for text in texts)
    assert six == nine[:6]
    lines = {f"{prompt(fact, FORMATS['statement']).text} {fact.answer}": fact for fact in different}
    assert {lines[line.removeprefix("Fact: ")] for line in six} == set(relearn)
    assert {lines[line.removeprefix("Fact: ")] for line in nine[6:]} <= set(retain)


def test_a_fact_brings_its_own_words(tiny_gemma3):
    fact = Fact("Rome", "P17", "Italy", "Japan", wordings=("{} lies in", "Where is {}? In"))
    knowledge = Knowledge([prompt(fact, FORMATS["statement"])], asked_about(RETAIN[:1]), (), tiny_gemma3)
    (attacked,) = in_context(tiny_gemma3, knowledge, 0, shots=[1])
    assert attacked.rewrite(asked_about(RETAIN[:1])[0]).text.startswith("Rome lies in Italy\nFact: Tiger Woods")


def test_letters_are_right(tiny_gemma3):
    (attacked,) = in_context(tiny_gemma3, known(RELEARN, RETAIN, tiny_gemma3, FORMATS["multiple_choice"]), 1, shots=[8])
    asked = asked_about(OTHERS)[0]
    blocks = attacked.rewrite(asked).text.removesuffix(f"\n{asked.text}").split("Question: ")[1:]
    assert len(blocks) == 8
    for block in blocks:
        question, *listed, answer = block.strip().splitlines()
        subject, letter = question.removeprefix("What sport does ").removesuffix(" play?"), answer.removeprefix("Answer: ")
        assert dict(line.split(". ") for line in listed)[letter] == ANSWERS[subject]


def test_the_same_for_a_seed_whatever_the_order_of_facts(tiny_gemma3):
    asked = asked_about(OTHERS)[0]

    def texts(seed, shuffle=0):
        parts = [random.Random(shuffle).sample(part, len(part)) if shuffle else part for part in (RELEARN, RETAIN)]
        (rewrite,) = rewrites(tiny_gemma3, seed, 9, relearn=parts[0], retain=parts[1])
        return rewrite(asked).text

    assert texts(1) == texts(1) == texts(1, shuffle=5)
    assert len({texts(seed) for seed in range(5)}) == 5


def test_answers_are_read_after_the_demonstrations_and_the_model_is_as_it_was(tiny):
    before, asked = bits(tiny), asked_about([*OTHERS[::3], *RELEARN[::4]])
    for attacked in in_context(tiny, known(RELEARN, RETAIN, tiny), 2, shots=[0, 3, 12]):
        assert (attacked.model, attacked.step) == (tiny, 0)
        asking = [attacked.rewrite(one) for one in asked]
        for one, answer in zip(asking, answer_prompts(attacked.model, asking), strict=True):
            with torch.no_grad():
                logits = tiny.network(**tiny.tokenizer(one.text, return_tensors="pt")).logits[0, -1]
            assert answer.log_probability == pytest.approx(logits.log_softmax(-1)[answer_token(tiny, one.answer)].item(), abs=1e-3)
        if attacked.setting == "0 shots":
            assert asking == asked
    closed = in_context(tiny, known(RELEARN, RETAIN, tiny), 2, shots=[1, 2])
    next(closed)
    closed.close()
    assert same(bits(tiny), before)


@pytest.mark.parametrize(("shots", "wrong"), [
    ([1, 24], 24),
    ([-1], -1),
])  # fmt: skip
def test_too_few_facts_are_refused_before_any_is_shown(tiny_gemma3, shots, wrong):
    with pytest.raises(FactError, match=f"^{wrong} demonstrations: there are facts for 0 to 23, and one to spare$"):
        next(in_context(tiny_gemma3, known(RELEARN, RETAIN, tiny_gemma3), 0, shots=shots))
