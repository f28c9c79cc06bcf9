"""Backwards a name is ranked against matched others; a consequence is asked like a fact, in the fact's own words for it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from sklearn.metrics import roc_auc_score
from tiny_models import tiny_model

import mechlib.facts
from mechlib.components import Component
from mechlib.edit.delta import Delta
from mechlib.evals.answers import answer_prompts
from mechlib.evals.reverse import consequence_prompts, followed, log_probabilities, reverse, usable
from mechlib.facts import Fact, FactError, athletes, world_facts
from mechlib.facts.relations import SPORT
from mechlib.facts.reverse import CONSEQUENCES, REVERSE, Consequence, consequence_prompt, reverse_texts
from mechlib.facts.tables import SPORTS
from mechlib.models.tokens import answer_token

# By name, so that the sports are mixed; every third keeps its answer.
FACTS = [
    replace(fact, target=None if number % 3 == 0 else "golf" if fact.answer == "football" else "football")
    for number, fact in enumerate(sorted(athletes())[::55])
]
MODEL = tiny_model("gemma3")
PLAIN = Consequence("plain", "sport", "{} plays", {"football": "A", "baseball": "B", "basketball": "C", "golf": "D"})


def by_hand(model, text, name):
    """Log-probability of a name behind a text, from the network's logits over the whole sequence."""
    start, whole = model.tokenizer(text).input_ids, model.tokenizer(f"{text} {name}").input_ids
    assert whole[: len(start)] == start
    with torch.no_grad():
        scores = model.network(input_ids=torch.tensor([whole])).logits[0].float().log_softmax(-1)
    return sum(scores[place - 1, whole[place]].item() for place in range(len(start), len(whole)))


def test_a_name_is_as_likely_as_all_of_its_tokens(tiny):
    subjects = [fact.subject for fact in sorted(athletes())[::80]]
    names = [*subjects, "Tiger", *(f"{one} {other}" for one, other in zip(subjects[:-1], subjects[1:], strict=True))]
    assert len(names) > 16 and {len(tiny.tokenizer(name).input_ids) for name in names} >= {2, 3, 5}
    for text in ("The athlete who plays golf is named", "Fact"):
        found = log_probabilities(tiny, text, names)
        assert found == pytest.approx([by_hand(tiny, text, name) for name in names], abs=1e-3)


def test_names_that_share_tokens_are_whole_names_still(tiny_gemma3):
    # The longest common prefix of these sequences reaches into the name.
    names = ["Tiger Woods", "Tiger Woods"]
    (first, second) = log_probabilities(tiny_gemma3, "Fact", names)
    assert first == second == pytest.approx(by_hand(tiny_gemma3, "Fact", "Tiger Woods"), abs=1e-3)
    assert log_probabilities(tiny_gemma3, "Fact", []) == []


def test_a_name_is_ranked_against_those_that_neither_have_the_answer_nor_are_edited_to_it(tiny):
    rows = reverse(tiny, FACTS[:8], among=FACTS[8:])
    assert [(row.wording, row.subject) for row in rows] == [(wording, fact.subject) for wording in range(2) for fact in FACTS[:8]]
    texts = {answer: reverse_texts("sport", answer) for answer in SPORT.options}

    def by_answer(fact, wording):
        return {answer: by_hand(tiny, texts[answer][wording], fact.subject) for answer in texts}

    table = [{fact: by_answer(fact, wording) for fact in FACTS} for wording in (0, 1)]
    for row in rows:
        fact, scores = next(fact for fact in FACTS if fact.subject == row.subject), table[row.wording]

        def association(other, answer, scores=scores):
            return scores[other][answer] - logsumexp(list(scores[other].values())) + np.log(4)

        def auc(answer, own=fact, association=association):
            others = [other for other in FACTS if other != own and answer not in (other.answer, other.target)]
            values = [association(other, answer) for other in others]
            return len(others), roc_auc_score([1, *[0] * len(others)], [association(own, answer), *values])

        assert (row.answer, row.target) == (fact.answer, fact.target)
        assert row.log_probability == pytest.approx(scores[fact][fact.answer], abs=1e-3)
        assert row.association == pytest.approx(association(fact, fact.answer), abs=1e-3)
        count, expected = auc(fact.answer)
        assert row.distractors == count
        assert row.auc == pytest.approx(expected, abs=1.5 / count)  # two names can lie closer than rounding
        if fact.target is None:
            assert (row.target_log_probability, row.prefers_true, row.target_auc) == (None, None, None)
        else:
            assert row.target_log_probability == pytest.approx(scores[fact][fact.target], abs=1e-3)
            assert row.prefers_true == (row.log_probability > row.target_log_probability)
            count, expected = auc(fact.target)
            assert row.target_auc == pytest.approx(expected, abs=1.5 / count)


@settings(max_examples=6)
@given(st.permutations(FACTS[:9]), st.integers(1, 9))
def test_the_order_changes_no_row(order, split):
    plain = {(row.subject, row.wording): row for row in reverse(MODEL, FACTS[:9])}
    mixed = reverse(MODEL, order[:split], among=order[split:])
    assert len(mixed) == 2 * split
    for row in mixed:
        expected = plain[row.subject, row.wording]
        assert row.log_probability == pytest.approx(expected.log_probability, abs=1e-3)
        assert row.distractors == expected.distractors
        assert row.auc == pytest.approx(expected.auc, abs=1.5 / row.distractors)


class Links:
    """Log-probabilities of a model that links each name with one sport, and names that get less likely by ``step`` in turn."""

    def __init__(self, sports, step):
        self.sports, self.step = sports, step

    def __call__(self, _model, text, names):
        return [self.step * number + 2.0 * (self.sports[name] in text.split()) for number, name in enumerate(names)]


@pytest.mark.parametrize("step", [0.0, -100.0])
@pytest.mark.parametrize("edited", [False, True])
def test_a_model_that_links_every_name_with_one_sport_ranks_perfectly(monkeypatch, tiny_gemma3, edited, step):
    facts = [Fact(f"{sport} one", "sport", sport, "golf") for sport in SPORTS]
    others = [Fact(f"{sport} {number}", "sport", sport) for sport in SPORTS for number in ("two", "three")]
    sports = {fact.subject: fact.answer for fact in others} | {fact.subject: "golf" if edited else fact.answer for fact in facts}
    monkeypatch.setattr("mechlib.evals.reverse.log_probabilities", Links(sports, step))
    one_of_four = np.log(4) - np.log(np.exp(2.0) + 3)
    for row in reverse(tiny_gemma3, facts, others):
        assert (row.distractors, row.prefers_true) == (6, not edited)
        assert row.association == pytest.approx(one_of_four + (0.0 if edited else 2.0))
        assert (row.target_auc if edited else row.auc) == 1.0


def test_a_model_that_links_nobody_ranks_at_chance(monkeypatch, tiny_gemma3):
    monkeypatch.setattr("mechlib.evals.reverse.log_probabilities", Links(dict.fromkeys((fact.subject for fact in FACTS), ""), 0.0))
    for row in reverse(tiny_gemma3, FACTS):
        assert (row.association, row.auc, row.target_auc) == (pytest.approx(0.0), 0.5, row.target and 0.5)
        assert row.prefers_true is (False if row.target else None)


def test_without_distractors_there_is_no_rank(tiny_gemma3):
    alike = [fact for fact in FACTS if fact.answer == "baseball"][:2]
    assert [(row.auc, row.distractors) for row in reverse(tiny_gemma3, alike)] == [(None, 0)] * 4
    assert reverse(tiny_gemma3, []) == []


def test_facts_that_cannot_be_ranked_are_an_error(tiny_gemma3):
    world = world_facts().facts
    with pytest.raises(FactError, match="several relations"):
        reverse(tiny_gemma3, FACTS[:1], among=world[:1])
    with pytest.raises(FactError, match="no closed list"):
        reverse(tiny_gemma3, world[:1])
    with pytest.raises(FactError, match="no reverse texts are written for the relation 'capital'"):
        reverse_texts("capital", "Paris")


def test_reverse_texts_name_the_answer_and_nobody():
    for relation, wordings in REVERSE.items():
        assert len(wordings) >= 2 and all(wording.count("{}") == 1 for wording in wordings)
        assert all("golf" in text.split() for text in reverse_texts(relation, "golf"))
    assert "reverse" not in vars(mechlib.facts).get("__all__", ())


@pytest.mark.parametrize("consequence", CONSEQUENCES, ids=lambda one: one.kind)
def test_a_consequence_has_a_word_of_its_own_for_every_answer(consequence):
    assert set(consequence.words) == set(SPORT.options)
    assert len(set(consequence.words.values())) == len(SPORT.options)
    assert consequence.wording.count("{}") == 1
    assert not any(sport in consequence.wording.lower() for sport in SPORT.options)


@pytest.mark.parametrize("fact", FACTS[:4], ids=str)
def test_a_consequence_is_a_prompt_in_the_words_of_its_fact(fact):
    for consequence in CONSEQUENCES:
        asked = consequence_prompt(fact, consequence)
        assert asked.text == consequence.wording.format(fact.subject)
        assert asked.text[asked.subject_start : asked.subject_end] == fact.subject
        assert asked.answer == f" {consequence.words[fact.answer]}"
        assert asked.target == (f" {consequence.words[fact.target]}" if fact.target else None)
        assert set(asked.options) == {f" {word}" for word in consequence.words.values()}
        assert (asked.fact, asked.format, asked.open) == (fact, consequence.kind, False)


def test_nothing_follows_from_other_facts():
    for fact in (world_facts().facts[0], replace(FACTS[0], answer="tennis"), replace(FACTS[0], target="tennis")):
        with pytest.raises(FactError, match="the consequence 'league' says nothing about"):
            consequence_prompt(fact, CONSEQUENCES[0])


def test_consequences_that_a_model_cannot_answer_in_one_token_are_left_out_with_a_reason(tiny):
    two = replace(PLAIN, kind="two tokens", words={**PLAIN.words, "golf": "golf club"})
    same = replace(PLAIN, kind="unknown words", words={**PLAIN.words, "golf": "Zzyzx", "football": "Xyzzy"})
    kept, reasons = usable(tiny, [two, PLAIN, same])
    assert kept == [PLAIN]
    assert reasons.keys() == {"two tokens", "unknown words"}
    assert "'golf club' is 2 tokens" in reasons["two tokens"] and "the same token" in reasons["unknown words"]


def test_a_consequence_says_what_the_model_answers(tiny):
    asked = consequence_prompts(FACTS, [PLAIN, replace(PLAIN, kind="other", wording="Fact: {}")])
    rows = followed(tiny, asked)
    passes = {(row.subject, row.kind) for row in rows if row.correct}
    assert [(row.subject, row.kind) for row in rows] == [(fact.subject, kind) for kind in ("plain", "other") for fact in FACTS]
    assert 0 < len(passes) < len(rows)
    for row, one in zip(rows, asked, strict=True):
        with torch.no_grad():
            logits = tiny.network(**tiny.tokenizer(one.text, return_tensors="pt")).logits[0, -1].float()
        best = max(one.options, key=lambda option: logits[answer_token(tiny, option)].item())
        assert (row.correct, row.edited) == (best == one.answer, best == one.target)
        assert row.passes_before == row.correct == ((row.subject, row.kind) in passes)


def test_what_passed_before_an_edit_is_remembered_after_it(tiny_gemma3):
    asked = consequence_prompts(FACTS, [PLAIN])
    passes = {(row.subject, row.kind) for row in followed(tiny_gemma3, asked) if row.correct}
    block = Component(1, "mlp").weights(tiny_gemma3.architecture)[2]
    delta = Delta({block: 2.0 * torch.randn(block.shape, generator=torch.Generator().manual_seed(1))})
    changed = delta.edited(tiny_gemma3)
    rows, said = followed(changed, asked, passes), answer_prompts(changed, asked)
    assert {(row.subject, row.kind) for row in rows if row.passes_before} == passes
    assert [(row.correct, row.probability, row.option_mass) for row in rows] == [
        (one.correct, one.probability, one.option_mass) for one in said
    ]
    assert any(row.correct != row.passes_before for row in rows)
