"""Probes read off what a stream holds, say nothing else, and are worth what their controls leave of them."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from editing import bits, same
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from mechlib.checks import ParameterError
from mechlib.components import Component
from mechlib.edit.delta import Delta
from mechlib.evals.latent import latent
from mechlib.facts import FORMATS, Fact, FactError, athletes, prompt, prompts, world_facts
from mechlib.patching.probing import answer_streams, cross_validate

SPORTS = {"Judge": "baseball", "James": "basketball", "Brady": "football"}
FIRST = sorted({fact.subject.split()[0] for fact in athletes() if len(fact.subject.split()) == 2})[:16]
# The last name gives the sport away, to whoever has seen it with another first name.
TRAIN = prompts([Fact(f"{first} {last}", "sport", sport) for last, sport in SPORTS.items() for first in FIRST[:10]], FORMATS["one_shot"])
# Of the others the name tells in turn the answer, the edit target (what an edit makes of them) and neither.
OTHERS = {sport: [other for other in SPORTS.values() if other != sport] for sport in SPORTS.values()}
TOLD = [(first, last, sport, *OTHERS[sport]) for last, sport in SPORTS.items() for first in FIRST[10:]]
TURNS = [((sport, one), (one, sport), (one, other))[n % 3] for n, (_, _, sport, one, other) in enumerate(TOLD)]
TEST = prompts([Fact(f"{told[0]} {told[1]}", "sport", *turn) for told, turn in zip(TOLD, TURNS, strict=True)], FORMATS["one_shot"])


def at(rows, layer, position):
    return [row for row in rows if (row.layer, row.position) == (layer, position)]


def said(rows):
    return {(row.layer, row.position, row.subject): row.said for row in rows}


def test_one_row_a_layer_position_and_fact_in_order(tiny):
    rows = latent(tiny, TRAIN, TEST, seed=0)
    places = [(layer, position, asked.fact.subject) for layer in range(tiny.architecture.n_layers + 1)
              for position in ("subject", "prompt") for asked in TEST]  # fmt: skip
    assert [(row.layer, row.position, row.subject) for row in rows] == places
    assert {row.said for row in rows} <= set(SPORTS.values())


def test_a_name_tells_its_sport_and_thereby_who_was_edited(tiny):
    rows = at(latent(tiny, TRAIN, TEST, seed=0), 0, "subject")
    assert [row.said for row in rows] == [SPORTS[row.subject.split()[1]] for row in rows]
    assert [row.correct for row in rows] == [n % 3 == 0 for n in range(len(rows))]
    assert [row.edited for row in rows] == [n % 3 == 1 for n in range(len(rows))]


def test_a_probe_is_worth_what_its_control_leaves(tiny):
    rows = latent(tiny, TRAIN, TEST, seed=0)
    (told,) = {(row.held_out_correct, row.held_out_total, row.control_correct) for row in at(rows, 0, "subject")}
    assert told[:2] == (len(TRAIN), len(TRAIN))
    assert told[2] < 0.6 * len(TRAIN)
    # The prompt's last token is the same word for everybody until the first attention layer.
    (blind,) = {(row.held_out_correct, row.said) for row in at(rows, 0, "prompt")}
    assert blind[0] <= 0.4 * len(TRAIN)


def test_what_is_said_is_what_a_logistic_regression_on_hidden_states_says(tiny):
    def states(asked, layer, position):
        encoded = tiny.tokenizer(asked.text, return_tensors="pt")
        with torch.no_grad():
            hidden = tiny.network(**encoded, output_hidden_states=True).hidden_states[layer]
        return hidden[0, encoded.char_to_token(asked.subject_end - 1) if position == "subject" else -1].double().numpy()

    rows, last = latent(tiny, TRAIN, TEST, seed=0), tiny.architecture.n_layers
    for layer, position in ((0, "subject"), (1, "subject"), (2, "prompt"), (last, "subject"), (last, "prompt")):
        learned, asked = (np.stack([states(one, layer, position) for one in part]) for part in (TRAIN, TEST))
        scale = StandardScaler().fit(learned)
        # The embedding of one word at the last prompt token has no spread to divide by: layer 0 there is left out.
        # Another solver, to its end: where it stops as usual, log odds are some hundredths off.
        probe = LogisticRegression(solver="lbfgs", tol=1e-9, max_iter=10_000)
        fitted = probe.fit(scale.transform(learned), [one.fact.answer for one in TRAIN])
        given = fitted.predict_proba(scale.transform(asked))
        ordered, own = np.sort(given, 1), at(rows, layer, position)
        clear = ordered[:, -1] - ordered[:, -2] > 1e-3
        assert clear.sum() > len(TEST) / 2
        np.testing.assert_array_equal(np.array([row.said for row in own])[clear], fitted.classes_[given.argmax(1)][clear])
        true = given[range(len(TEST)), [list(fitted.classes_).index(one.fact.answer) for one in TEST]]
        np.testing.assert_allclose([row.log_odds for row in own], np.log(true / (1 - true)), atol=1e-3)


def test_a_planted_direction_is_found_where_it_is_and_nowhere_else():
    generator = np.random.default_rng(0)
    answers = [str(n % 3) for n in range(150)]
    direction = generator.normal(size=(3, 40))
    streams = {position: [generator.normal(size=(150, 40)) for _ in range(3)] for position in ("subject", "prompt")}
    streams["prompt"][1] += direction[[int(answer) for answer in answers]]
    for row in cross_validate(streams, answers, seed=0):
        assert (row.correct > 130) if (row.layer, row.position) == (1, "prompt") else (row.correct < 75)
        assert row.control_correct < 75


@pytest.fixture(scope="module")
def plain(tiny_gemma3):
    return said(latent(tiny_gemma3, TRAIN, TEST, seed=0))


@settings(max_examples=4)
@given(st.permutations(range(len(TEST))), st.integers(1, 20))
def test_order_and_batches_change_nothing(tiny_gemma3, plain, order, batch_size):
    shuffled = [TEST[index] for index in order]
    assert said(latent(tiny_gemma3, TRAIN, shuffled, seed=0, folds=2, batch_size=batch_size)) == plain


def test_the_seed_decides_about_the_folds_and_nothing_else(tiny_gemma3):
    first, again, other = (latent(tiny_gemma3, TRAIN, TEST, seed) for seed in (0, 0, 1))
    assert first == again
    assert said(first) == said(other)
    assert [row.control_correct for row in first] != [row.control_correct for row in other]


def test_an_edit_shows_above_its_layer_and_the_model_is_left_alone(tiny):
    before, weights = latent(tiny, TRAIN, TEST, seed=0), bits(tiny)
    block = Component(1, "mlp").weights(tiny.architecture)[-1]
    delta = Delta({block: torch.randn(block.shape, generator=torch.Generator().manual_seed(0)) * 20})
    changed = delta.edited(tiny)
    edited = latent(changed, TRAIN, TEST, seed=0)
    streams = answer_streams(changed, TEST)
    for layer in (0, 1):
        assert [row for row in edited if row.layer == layer] == [row for row in before if row.layer == layer]
    assert [row for row in edited if row.layer == 2] != [row for row in before if row.layer == 2]
    assert not np.allclose(streams["prompt"][2], answer_streams(tiny, TEST)["prompt"][2])
    assert same(weights, bits(tiny))


@pytest.mark.parametrize(("train", "test", "message"), [
    (TRAIN, prompts(world_facts().facts[:2], FORMATS["statement"]), "probes need a relation with a closed list of answers"),
    (TRAIN, [], "no fact to apply"),
    (TRAIN, [TRAIN[3]], f"{TRAIN[3].fact.subject} is in both parts"),
    (TRAIN[:10], TEST[:4], "two different answers, and there are 1"),
    (TRAIN[:20], TEST, "with the answer 'football': 0"),
    (TRAIN[:24], TEST[:2], "with the answer 'football': 4"),
    (TRAIN, [prompt(Fact("Tiger Judge", "sport", "golf"), FORMATS["one_shot"])], "with the answer 'golf': 0"),
    (TRAIN, [replace(TEST[0], fact=replace(TEST[0].fact, relation="team"))], "one relation, not 2: sport, team"),
])  # fmt: skip
def test_what_cannot_be_probed_is_said_before_any_work(tiny_gemma3, train, test, message):
    with pytest.raises(FactError, match=message) as caught:
        latent(tiny_gemma3, train, test, seed=0)
    assert "\n" not in str(caught.value)


def test_every_part_needs_one_fact_of_each_answer_and_there_are_two_parts_at_least(tiny_gemma3):
    """As many training facts with an answer as there are parts is enough, one less is not."""
    counts = Counter(asked.fact.answer for asked in TRAIN)
    enough = min(counts.values())
    assert latent(tiny_gemma3, TRAIN, TEST, seed=0, folds=enough)
    with pytest.raises(FactError, match=f"cross-validation in {enough + 1} parts"):
        latent(tiny_gemma3, TRAIN, TEST, seed=0, folds=enough + 1)
    with pytest.raises(ParameterError, match="folds=1: give a whole number of at least 2"):
        latent(tiny_gemma3, TRAIN, TEST, seed=0, folds=1)
