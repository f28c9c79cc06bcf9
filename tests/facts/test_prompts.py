"""Prompts: the paper's exact words, and letter choices that give nothing away."""

import re
from collections import Counter
from dataclasses import replace
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechlib.facts import (
    FORMATS,
    Fact,
    FactError,
    athletes,
    demonstration_subjects,
    formats_of,
    neighbourhood,
    prompt,
    prompts,
    world_facts,
)
from mechlib.facts.prompts import LETTERS
from mechlib.facts.relations import RELATIONS, SPORT, WORLD

LEBRON = Fact("LeBron James", "sport", "basketball", "golf")
ROME = Fact("Rome", "country_of_city", "Italy", "Japan")
names = st.text(st.characters(categories=["L", "Nd", "P", "S"]), min_size=1, max_size=8)
forms = st.sampled_from([FORMATS[form] for form in formats_of(SPORT)])


def chosen(text, letter):
    """The option that a letter stands for in the last list of options of a text."""
    return re.findall(rf"^{letter}\. (\w+)$", text, re.MULTILINE)[-1]


def demonstrated(text):
    return re.findall(r"Answer: ([A-D])", text)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("one_shot", "Fact: Tiger Woods plays the sport of golf\nFact: LeBron James plays the sport of"),
        ("question", "Question: What sport does Tiger Woods play? Answer: golf\nQuestion: What sport does LeBron James play? Answer:"),
        (
            "few_shot",
            "Fact: Tiger Woods plays the sport of golf\nFact: Babe Ruth plays the sport of baseball\n"
            "Fact: Magic Johnson plays the sport of basketball\nFact: Joe Montana plays the sport of football\n"
            "Fact: LeBron James plays the sport of",
        ),
        ("cloze", "LeBron James became famous as a professional athlete. The sport that made LeBron James famous is"),
    ],
)
def test_the_exact_words(form, text):
    asked = prompt(LEBRON, FORMATS[form])
    assert asked.text == text
    assert (asked.answer, asked.target, asked.format) == (" basketball", " golf", form)
    assert asked.options == (" football", " baseball", " basketball", " golf")


def test_the_exact_words_of_a_letter_choice():
    assert prompt(LEBRON, FORMATS["multiple_choice"], 1).text.endswith(
        "\nQuestion: What sport does LeBron James play?\nA. baseball\nB. basketball\nC. golf\nD. football\nAnswer:"
    )


def test_the_exact_words_of_a_word_choice():
    asked = prompt(LEBRON, FORMATS["word_choice"], 1)
    assert asked.text == (
        "Question: What sport does Tiger Woods play?\nOptions: basketball, golf, football, baseball\nAnswer: golf\n"
        "Question: What sport does Babe Ruth play?\nOptions: golf, football, baseball, basketball\nAnswer: baseball\n"
        "Question: What sport does LeBron James play?\nOptions: baseball, basketball, golf, football\nAnswer:"
    )
    assert (asked.answer, asked.target, asked.rotation) == (" basketball", " golf", 1)
    assert asked.options == (" football", " baseball", " basketball", " golf") and not asked.first


@pytest.mark.parametrize(("form", "says", "options"), [
    ("spanish", "Dato: {} juega al", ("fútbol americano", "béisbol", "baloncesto", "golf")),
    ("french", "Fait : {} joue au", ("football américain", "baseball", "basket-ball", "golf")),
    ("german", "Fakt: {} spielt", ("Football", "Baseball", "Basketball", "Golf")),
])  # fmt: skip
def test_the_exact_words_of_another_language(form, says, options):
    football, baseball, basketball, golf = options
    asked = prompt(LEBRON, FORMATS[form])
    shown = (("Tiger Woods", golf), ("Babe Ruth", baseball), ("Magic Johnson", basketball), ("Joe Montana", football))
    assert asked.text == "\n".join([*(f"{says.format(name)} {word}" for name, word in shown), says.format("LeBron James")])
    assert (asked.answer, asked.target) == (f" {basketball}", f" {golf}")
    assert asked.options == tuple(f" {option}" for option in options)
    # An answer of several tokens stands for its first; the fact itself stays as it is.
    assert asked.first and not asked.open and asked.fact == LEBRON
    assert prompts([LEBRON], FORMATS[form], rotations=4) == [asked]


def test_another_language_asks_nothing_but_sports():
    for form in ("spanish", "french", "german"):
        with pytest.raises(FactError, match=f"'country_of_city' has no words in the language of the format '{form}'"):
            prompt(ROME, FORMATS[form])
        with pytest.raises(FactError, match="'sport' has no words in the language"):
            prompt(Fact("Ann", "sport", "chess", wordings=("{} plays",), options=("chess", "golf")), FORMATS[form])


@given(names, st.permutations(SPORT.options), st.integers(0, 3))
def test_a_letter_points_to_the_true_option(name, chosen_two, rotation):
    answer, target, *_ = chosen_two
    asked = prompt(Fact(f"Q {name}", "sport", answer, target), FORMATS["multiple_choice"], rotation)
    assert chosen(asked.text, asked.answer.strip()) == answer
    assert chosen(asked.text, asked.target.strip()) == target
    assert sorted(asked.options) == [f" {letter}" for letter in LETTERS]
    assert [chosen(asked.text, option.strip()) for option in asked.options] == list(SPORT.options)


def test_the_letters_of_the_demonstrations_point_to_their_options():
    answers = dict(SPORT.demonstrations)
    for rotation in range(4):
        blocks = prompt(LEBRON, FORMATS["multiple_choice"], rotation).text.split("Question: ")[1:-1]
        assert len(blocks) == 2
        for block in blocks:
            subject = re.search("does (.*) play", block)[1]
            assert chosen(block, demonstrated(block)[0]) == answers[subject]


@pytest.mark.parametrize("answer", SPORT.options)
def test_rotations_change_the_demonstrations_and_use_every_letter(answer):
    asked = [prompt(replace(LEBRON, answer=answer, target=None), FORMATS["multiple_choice"], rotation) for rotation in range(4)]
    assert sorted(one.answer for one in asked) == [f" {letter}" for letter in LETTERS]
    shown = [demonstrated(one.text) for one in asked]
    for place in range(2):
        assert sorted(letters[place] for letters in shown) == list(LETTERS)


def listed(text):
    """The lists of options of a text of the word choice, the question's last, and the words that follow the others."""
    return [line.split(", ") for line in re.findall(r"Options: (.*)", text)], re.findall(r"Answer: (\w+)", text)


@pytest.mark.parametrize("rotations", [1, 2, 4])
def test_every_place_of_a_list_is_right_equally_often(rotations):
    facts = [fact for sport in SPORT.options[:3] for fact in [f for f in athletes() if f.answer == sport][:40]]
    asked = prompts(facts, FORMATS["word_choice"], rotations)
    assert len(asked) == len({(one.fact.subject, one.rotation) for one in asked}) == len(facts) * rotations
    places = Counter(listed(one.text)[0][-1].index(one.answer.strip()) for one in asked)
    assert places == dict.fromkeys(range(4), len(asked) // 4)


def test_the_lists_of_the_demonstrations_rotate_differently():
    asked = [prompt(LEBRON, FORMATS["word_choice"], rotation) for rotation in range(4)]
    for one in asked:
        lists, words = listed(one.text)
        assert words == ["golf", "baseball"] and len({tuple(own) for own in lists}) == 3
        assert all(sorted(own) == sorted(SPORT.options) for own in lists)
    for place in range(2):
        found = [listed(one.text) for one in asked]
        assert sorted(lists[place].index(words[place]) for lists, words in found) == [0, 1, 2, 3]


@pytest.mark.parametrize("rotations", [1, 2, 4])
def test_every_letter_is_right_equally_often(rotations):
    # Answers in blocks, as a table has them: what is balanced is not the order of the facts.
    facts = [fact for sport in SPORT.options[:3] for fact in [f for f in athletes() if f.answer == sport][:40]]
    asked = prompts(facts, FORMATS["multiple_choice"], rotations)
    assert len(asked) == len(facts) * rotations
    assert set(Counter(one.answer for one in asked).values()) == {len(asked) // 4}
    assert len({(one.fact.subject, one.rotation) for one in asked}) == len(asked)


def test_other_formats_have_no_rotations():
    facts = athletes().facts[:5]
    for form in ("one_shot", "question", "few_shot", "cloze", "spanish", "french", "german"):
        assert prompts(facts, FORMATS[form], rotations=4) == prompts(facts, FORMATS[form])
        assert [one.fact for one in prompts(facts, FORMATS[form])] == list(facts)


@given(names, forms, st.integers(0, 3))
def test_the_last_mention_of_the_subject_is_delimited(name, form, rotation):
    subject = normalize("NFC", f"Q {name}")
    asked = prompt(Fact(subject, "sport", "golf"), form, rotation)
    assert asked.text[asked.subject_start : asked.subject_end] == subject
    assert subject not in asked.text[asked.subject_end :]
    assert asked.text.count(subject) == (2 if form.key == "cloze" else 1)
    assert not asked.text.endswith(" ")
    assert asked.target is None


def test_demonstrations_are_known_by_name():
    assert {subject for subject, _ in SPORT.demonstrations} == {"Tiger Woods", "Babe Ruth", "Magic Johnson", "Joe Montana"}
    assert demonstration_subjects() == {subject for relation in RELATIONS.values() for subject, _ in relation.demonstrations}
    for fact, relation in ((LEBRON, SPORT), (ROME, RELATIONS["country_of_city"])):
        for form in formats_of(relation):
            for asked in prompts([fact], FORMATS[form], rotations=4):
                assert sum(subject in asked.text for subject in demonstration_subjects()) == FORMATS[form].shots


def test_what_cannot_be_asked():
    with pytest.raises(FactError, match="relation 'team'"):
        prompt(Fact("LeBron James", "team", "Lakers"), FORMATS["one_shot"])
    with pytest.raises(FactError, match="'cricket' is none of"):
        prompt(Fact("LeBron James", "sport", "cricket"), FORMATS["one_shot"])


@pytest.mark.parametrize("form", ["one_shot", "multiple_choice"])
def test_an_edit_target_must_be_an_option(form):
    with pytest.raises(FactError, match="'cricket'"):
        prompt(Fact("LeBron James", "sport", "golf", "cricket"), FORMATS[form])


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("one_shot", "Fact: Venice is a city in the country of Italy\nFact: Rome is a city in the country of"),
        (
            "few_shot",
            "Fact: Venice is a city in the country of Italy\nFact: Hiroshima is a city in the country of Japan\n"
            "Fact: Dresden is a city in the country of Germany\nFact: Montreal is a city in the country of Canada\n"
            "Fact: Rome is a city in the country of",
        ),
        ("statement", "Rome is a city in the country of"),
        ("paraphrase_1", "The city of Venice belongs to the country of Italy\nThe city of Rome belongs to the country of"),
        ("paraphrase_2", "To visit the city of Venice, you have to travel to Italy\nTo visit the city of Rome, you have to travel to"),
    ],
)
def test_the_exact_words_of_a_world_fact(form, text):
    asked = prompt(ROME, FORMATS[form])
    assert asked.text == text
    assert (asked.answer, asked.target, asked.options, asked.open) == (" Italy", " Japan", (" Italy", " Japan"), True)


def test_a_prompt_is_open_where_the_relation_has_no_list_of_answers():
    assert [prompt(LEBRON, FORMATS[form]).open for form in formats_of(SPORT)] == [False] * len(formats_of(SPORT))
    assert [prompt(ROME, FORMATS[form]).open for form in formats_of(WORLD[0])] == [True] * len(formats_of(WORLD[0]))
    assert prompt(replace(ROME, target=None), FORMATS["statement"]).options == (" Italy",)


def test_the_formats_of_a_relation_are_those_it_has_words_for():
    listed = ("one_shot", "question", "few_shot", "cloze", "multiple_choice", "statement", "word_choice", "spanish", "french", "german")
    assert formats_of(SPORT) == listed
    assert {formats_of(relation) for relation in WORLD} == {("one_shot", "few_shot", "statement", "paraphrase_1", "paraphrase_2")}


@pytest.mark.parametrize(("fact", "possible"), [(LEBRON, formats_of(SPORT)), (ROME, formats_of(WORLD[0]))])
def test_a_format_without_words_is_one_line_with_those_there_are(fact, possible):
    for form in set(FORMATS) - set(possible):
        with pytest.raises(FactError, match=f"'{fact.relation}' has no") as caught:
            prompt(fact, FORMATS[form])
        assert "\n" not in str(caught.value)


def test_a_fact_that_brings_its_own_words_is_asked_in_them_and_shown_nothing():
    own = replace(ROME, relation="P17", wordings=("{} lies in", "Where is {}? In", "{}! {} is a place in"))
    said = {form: prompt(own, FORMATS[form]).text for form in ("one_shot", "few_shot", "statement", "paraphrase_1", "paraphrase_2")}
    assert said == {
        "one_shot": "Fact: Rome lies in", "few_shot": "Fact: Rome lies in", "statement": "Rome lies in",
        "paraphrase_1": "Where is Rome? In", "paraphrase_2": "Rome! Rome is a place in",
    }  # fmt: skip
    with pytest.raises(FactError, match="'P17' has no wording 'paraphrase_2' .it has: statement, paraphrase_1"):
        prompt(replace(own, wordings=own.wordings[:2]), FORMATS["paraphrase_2"])


def test_a_neighbourhood_is_everybody_else_with_the_same_relation_and_answer():
    table = world_facts()
    others = {fact.subject for fact in table if (fact.relation, fact.answer) == ("country_of_city", "Italy")} - {"Rome"}
    near = neighbourhood(ROME, table, FORMATS["one_shot"])
    assert len(others) > 2
    assert {one.fact.subject for one in near} == others
    assert len(near) == len(others)
    for one in near:
        assert one.text == prompt(one.fact, FORMATS["one_shot"]).text
        assert (one.answer, one.target, one.format) == (" Italy", " Japan", "neighbourhood")


def test_a_neighbourhood_that_a_fact_brings_is_asked_in_its_own_words():
    own = replace(ROME, wordings=("{} lies in",), neighbourhood=("Milan lies in", "Pisa is found in"))
    near = neighbourhood(own, world_facts(), FORMATS["one_shot"])
    assert [one.text for one in near] == ["Milan lies in", "Pisa is found in"]
    assert {(one.answer, one.target, one.format) for one in near} == {(" Italy", " Japan", "neighbourhood")}
