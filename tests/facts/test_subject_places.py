"""The subject is where the wording puts it, whatever else in the text is spelled the same; and a fact is cleaned once."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import tiny_model

from mechlib.evals.answers import answer_prompts
from mechlib.facts import FORMATS, Fact, FactError, neighbourhood, prompt
from mechlib.models import ModelError
from mechlib.models.tokens import subject_positions
from mechlib.patching.activation import activation_patching
from mechlib.patching.attribution import attribution_patching
from mechlib.patching.pairs import make_pair
from mechlib.patching.path import direct_effects
from mechlib.patching.probing import probe
from mechlib.patching.weights import gradient_times_weight

words = st.text("Urban Yok", min_size=1, max_size=9).filter(str.strip)


@pytest.mark.parametrize(("subject", "wording", "start"), [
    ("Ur", "The city {} lies where Uralic languages are spoken in", 9),
    ("New York", "{} is home of the New York Times in", 0),
    ("Ur", "In Ur, {} and Urban {} stand before Urk in", 20),
])  # fmt: skip
@pytest.mark.parametrize(("form", "before"), [("statement", 0), ("one_shot", 6)])
def test_the_place_is_the_wording_s_last(subject, wording, start, form, before):
    asked = prompt(Fact(subject, "P1", "Iraq", "Spain", (wording,)), FORMATS[form])
    assert (asked.subject_start, asked.subject_end) == (start + before, start + before + len(subject))
    # Whatever an attacker puts before it.
    behind = replace(asked, text=f"{subject} and {subject}. {asked.text}")
    assert behind.text[behind.subject_start :] == asked.text[asked.subject_start :]


@given(words, words, words)
def test_the_place_needs_no_search(subject, before, after):
    fact = Fact(subject, "P1", "Iraq", "Spain", (f"x{before}{{}}{after}x",))
    asked = prompt(fact, FORMATS["statement"])
    assert (asked.subject_start, asked.text) == (1 + len(before), f"x{before}{fact.subject}{after}x")


def test_the_tokens_of_a_subject_are_those_of_its_place():
    model = tiny_model("gemma3", world=True)
    asked = prompt(Fact("Rome", "P1", "Italy", "Japan", ("{} is a city , and Rome is",)), FORMATS["statement"])
    assert subject_positions(model, asked) == (1, 1)
    assert make_pair(model, [asked], "tokens", 0).classes.flatten().tolist()[:3] == [-1, 2, 3]


def test_a_text_that_no_wording_made_must_hold_the_subject_once():
    own = replace(prompt(Fact("Ur", "P1", "Iraq", "Spain", ("{} lies in",)), FORMATS["statement"]), behind=None)
    assert own.subject_start == 0
    for text in ("Babylon lies in", "Ur is Ur in"):
        with pytest.raises(FactError, match=f"'{text}' does not say where .* Ur once"):
            _ = replace(own, text=text).subject_start


@pytest.mark.parametrize("trace", [activation_patching, attribution_patching, direct_effects, gradient_times_weight,
                                   lambda model, asked: probe(model, asked, 0, folds=2)])  # fmt: skip
@pytest.mark.parametrize("text", ["Milan is a city in the country of", "Like Rome, Milan is a city in the country of"])
def test_a_published_neighbourhood_text_is_asked_and_not_traced(trace, text):
    # The second holds the subject of its fact, which is not whom it is about.
    model, wording = tiny_model("gemma3", world=True), ("{} is a city in the country of",)
    facts = [Fact("Rome", "P1", "Italy", "Japan", wording, (text,)), Fact("Tokyo", "P1", "Japan", "Italy", wording, (text,))]
    near = [one for fact in facts for one in neighbourhood(fact, (), FORMATS["statement"])] * 2
    assert {answer.subject for answer in answer_prompts(model, near)} == {"Rome", "Tokyo"}
    said = f"^the neighbourhood text '{text}' of Rome is about another subject .* it can be asked, not traced$"
    with pytest.raises(FactError, match=said):
        trace(model, near)


def test_our_own_neighbours_are_traced_at_their_own_subjects():
    among = [Fact("Rome", "country_of_city", "Italy", "Japan"), Fact("Milan", "country_of_city", "Italy", "Spain")]
    (near,) = neighbourhood(among[0], among, FORMATS["one_shot"])
    assert near.text[near.subject_start : near.subject_end] == "Milan"


def test_what_cannot_be_traced_is_one_line():
    model = tiny_model("gemma3", world=True)
    asked = prompt(Fact("Rome", "country_of_city", "Italy", "Japan"), FORMATS["statement"])
    slow = type("Slow", (), {"is_fast": False})()
    with pytest.raises(ModelError, match="slow tokenizer"):
        subject_positions(replace(model, tokenizer=slow), asked)
    alone = prompt(Fact("Paris", "country_of_city", "France"), FORMATS["statement"])
    for some in ([alone], [asked, alone]):
        with pytest.raises(FactError, match="Paris: there is no other answer to compare with; give the fact an edit target or options"):
            make_pair(model, some, "noise", 0)
    with pytest.raises(FactError, match="the prompt is empty"):
        replace(asked, text=" \n")


def test_a_fact_is_composed_and_without_spaces_around_it():
    fact = Fact(" Jose\u0301 ", "P1", " Perú", "Chile ", ("The home of {} is ", "Jose\u0301's friend {}"), options=("Peru\u0301", "Chile"))
    assert fact == Fact("José", "P1", "Perú", "Chile", ("The home of {} is", "José's friend {}"), options=("Perú", "Chile"))
    assert prompt(fact, FORMATS["statement"]).text == "The home of José is"


@pytest.mark.parametrize(("changed", "says"), [
    ({"subject": " "}, "needs a subject"), ({"answer": ""}, "needs a subject and an answer"),
    ({"target": "paris "}, "France's capital: the edit target is the true answer"), ({"wordings": ("It is",)}, "'It is' has no {}"),
])  # fmt: skip
def test_a_fact_that_cannot_be_asked_is_one_line(changed, says):
    with pytest.raises(FactError, match=says):
        Fact(**{"subject": "France's capital", "relation": "P1", "answer": "Paris", **changed})
