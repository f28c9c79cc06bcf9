"""Facts in the user's own words, with closed answers and demonstrations; what they add leaves older tables' fingerprints alone."""

import pytest

from mechlib.facts import FORMATS, Fact, FactError, FactSet, athletes, formats_of, prompt, world_facts
from mechlib.facts.relations import relation_of

OWN = Fact(
    "Paris", "river", "Seine", "Thames", wordings=("The river of {} is the", "Through {} flows the"),
    options=("Seine", "Thames", "Tiber"), demonstrations=(("Rome", "Tiber"), ("London", "Thames")),
)  # fmt: skip


@pytest.mark.parametrize(("form", "text"), [
    ("statement", "The river of Paris is the"),
    ("one_shot", "Fact: The river of Rome is the Tiber\nFact: The river of Paris is the"),
    ("few_shot", "Fact: The river of Rome is the Tiber\nFact: The river of London is the Thames\nFact: The river of Paris is the"),
    ("paraphrase_1", "Through Rome flows the Tiber\nThrough Paris flows the"),
])  # fmt: skip
def test_own_words_demonstrate_and_close_the_list_of_answers(form, text):
    asked = prompt(OWN, FORMATS[form])
    assert (asked.text, asked.answer, asked.target) == (text, " Seine", " Thames")
    assert (asked.options, asked.open) == ((" Seine", " Thames", " Tiber"), False)
    assert form in formats_of(relation_of(OWN))


def test_an_answer_that_is_no_option_is_refused():
    with pytest.raises(FactError, match="'Tagus' is none of Seine, Thames, Tiber"):
        prompt(Fact("Lisbon", "river", "Tagus", wordings=OWN.wordings, options=OWN.options), FORMATS["statement"])


def test_a_fact_does_not_demonstrate_itself_and_brings_words_with_its_options():
    with pytest.raises(FactError, match="its own demonstrations"):
        Fact("Rome", "river", "Tiber", wordings=OWN.wordings, demonstrations=OWN.demonstrations)
    with pytest.raises(FactError, match="give it wordings"):
        Fact("Rome", "river", "Tiber", options=OWN.options)


def test_own_facts_survive_json():
    some = FactSet("rivers", (OWN,))
    assert FactSet.from_json(some.to_json()) == some


def test_options_and_demonstrations_count_in_the_fingerprint():
    bare = Fact(OWN.subject, OWN.relation, OWN.answer, OWN.target, OWN.wordings)
    closed = Fact(OWN.subject, OWN.relation, OWN.answer, OWN.target, OWN.wordings, options=OWN.options)
    assert len({FactSet("", (fact,)).fingerprint for fact in (bare, closed, OWN)}) == 3


def test_the_fingerprints_of_the_shipped_tables_stand():
    # Kept evidence is identified by them: they change with the tables alone, not with what a fact can bring.
    assert (athletes().fingerprint, world_facts().fingerprint) == ("aaeda649e992200e", "071c1fc5c9b029be")
