"""Probes find what a token tells, not what it cannot know."""

import numpy as np
import torch

from mechlib.facts import FORMATS, Fact, athletes, prompts
from mechlib.patching.probing import cross_validate, probe, without_rounding

# The last name gives the sport away, the first name does not: 10 people for each of three last names.
FIRST = sorted({fact.subject.split()[0] for fact in athletes() if len(fact.subject.split()) == 2})[:90]
TOLD = [Fact(f"{first} {last}", "sport", sport) for last, sport in (("Judge", "baseball"), ("James", "basketball"), ("Brady", "football"))
        for first in FIRST[:10]]  # fmt: skip
# Nobody shares a name: whatever a probe learns about one athlete tells it nothing about another.
APART = [Fact(f"Judge {first}", "sport", sport) for first, sport in zip(FIRST, ["baseball", "basketball", "football"] * 30, strict=True)]


def accuracy(rows, layer, position):
    (row,) = [row for row in rows if (row.layer, row.position) == (layer, position)]
    return row.correct / row.total, row.control_correct / row.total


def test_every_layer_and_position_has_a_row(tiny):
    rows = probe(tiny, prompts(TOLD, FORMATS["one_shot"]), seed=0)
    places = [(layer, position) for layer in range(tiny.architecture.n_layers) for position in ("subject", "prompt")]
    assert [(row.layer, row.position) for row in rows] == places
    assert {row.total for row in rows} == {len(TOLD)}


def test_a_telling_name_is_read_at_the_subject_and_nowhere_before_attention_moves_it(tiny):
    rows = probe(tiny, prompts(TOLD, FORMATS["one_shot"]), seed=0)
    told, shuffled = accuracy(rows, 0, "subject")
    assert told == 1.0
    assert shuffled < 0.6
    # The prompt's last token is the same word for everybody until the first attention layer.
    assert accuracy(rows, 0, "prompt")[0] <= 0.4


def test_a_name_of_ones_own_tells_nothing(tiny_gemma3):
    rows = probe(tiny_gemma3, prompts(APART, FORMATS["one_shot"]), seed=0)
    assert accuracy(rows, 0, "subject")[0] < 0.5


def test_streams_are_the_models_hidden_states(tiny, monkeypatch):
    seen = []
    predict = "sklearn.model_selection.cross_val_predict"
    monkeypatch.setattr(predict, lambda _classifier, features, truth, cv: seen.append(features) or truth)
    asked = prompts(TOLD, FORMATS["one_shot"])
    rows = probe(tiny, asked, seed=0, batch_size=7)
    assert {row.correct for row in rows} == {len(asked)}
    for number, prompt in enumerate(asked[::9]):
        encoded = tiny.tokenizer(prompt.text, return_tensors="pt")
        with torch.no_grad():
            states = tiny.network(**encoded, output_hidden_states=True).hidden_states
        last = encoded.char_to_token(prompt.subject_end - 1)
        expected = [states[row.layer][0, last if row.position == "subject" else -1].numpy() for row in rows]
        for features, wanted in zip(seen[::2], expected, strict=True):
            np.testing.assert_allclose(features[9 * number], wanted, atol=1e-4)


def test_the_seed_decides(tiny_gemma3):
    asked = prompts(APART, FORMATS["one_shot"])
    first, again, other = (probe(tiny_gemma3, asked, seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert {row.total for row in probe(tiny_gemma3, asked, 0, folds=3)} == {len(asked)}


def test_an_answer_of_one_fact_is_probed_without_a_word(recwarn):
    generator, answers = np.random.default_rng(0), ["football", *["baseball"] * 9, *["basketball"] * 9]
    features = np.array([[answer == "baseball", answer == "basketball"] for answer in answers]) * 50.0 + generator.normal(size=(19, 2))
    (subject, prompt) = cross_validate({"subject": [features], "prompt": [features]}, answers, seed=0)
    # Where he is asked about, no probe has seen his sport.
    assert subject.total == 19 and 9 < subject.correct == prompt.correct <= 18
    assert not recwarn.list


def test_rounding_is_no_feature():
    """A stream that is one and the same for all facts, but for its last digits, tells a probe nothing; a small true difference does."""
    answers = ["a", "b"] * 20
    label = np.array([1.0, -1.0] * 20, dtype=np.float32)[:, None]
    base = np.full((40, 8), 3.0, dtype=np.float32)
    kept = without_rounding(base + 1e-6 * label)
    assert (kept == kept[0]).all()
    found = {spread: [row.correct for row in cross_validate({"subject": [base + spread * label], "prompt": [base]}, answers, 0)]
             for spread in (1e-6, 1e-3)}  # fmt: skip
    assert found[1e-3][0] == 40 and found[1e-6][0] == found[1e-6][1] < 40
