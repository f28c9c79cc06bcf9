"""Prompts: the paper's exact words, and letter choices that give nothing away."""

import re
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechlib.facts import FORMATS, Fact, FactError, athletes, demonstration_subjects, prompt, prompts
from mechlib.facts.prompts import LETTERS, SPORT

LEBRON = Fact("LeBron James", "sport", "basketball", "golf")
names = st.text(st.characters(categories=["L", "Nd", "P", "S"]), min_size=1, max_size=8)
options = st.sampled_from(SPORT.options)
forms = st.sampled_from(list(FORMATS.values()))


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


@given(names, options, options, st.integers(0, 3))
def test_a_letter_points_to_the_true_option(name, answer, target, rotation):
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
    asked = [prompt(replace(LEBRON, answer=answer), FORMATS["multiple_choice"], rotation) for rotation in range(4)]
    assert sorted(one.answer for one in asked) == [f" {letter}" for letter in LETTERS]
    shown = [demonstrated(one.text) for one in asked]
    for place in range(2):
        assert sorted(letters[place] for letters in shown) == list(LETTERS)


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
    for form in ("one_shot", "question", "few_shot", "cloze"):
        assert prompts(facts, FORMATS[form], rotations=4) == prompts(facts, FORMATS[form])
        assert [one.fact for one in prompts(facts, FORMATS[form])] == list(facts)


@given(names, forms, st.integers(0, 3))
def test_the_last_mention_of_the_subject_is_delimited(name, form, rotation):
    subject = f"Q {name}"
    asked = prompt(Fact(subject, "sport", "golf"), form, rotation)
    assert asked.text[asked.subject_start : asked.subject_end] == subject
    assert subject not in asked.text[asked.subject_end :]
    assert asked.text.count(subject) == (2 if form.key == "cloze" else 1)
    assert not asked.text.endswith(" ")
    assert asked.target is None


def test_demonstrations_are_known_by_name():
    assert demonstration_subjects() == {"Tiger Woods", "Babe Ruth", "Magic Johnson", "Joe Montana"}
    for form in FORMATS.values():
        for asked in prompts([LEBRON], form, rotations=4):
            assert sum(subject in asked.text for subject in demonstration_subjects()) == form.shots


def test_what_cannot_be_asked():
    with pytest.raises(FactError, match="relation 'team'"):
        prompt(Fact("LeBron James", "team", "Lakers"), FORMATS["one_shot"])
    with pytest.raises(FactError, match="'cricket' is none of"):
        prompt(Fact("LeBron James", "sport", "cricket"), FORMATS["one_shot"])


@pytest.mark.parametrize("form", ["one_shot", "multiple_choice"])
def test_an_edit_target_must_be_an_option(form):
    with pytest.raises(FactError, match="'cricket'"):
        prompt(Fact("LeBron James", "sport", "golf", "cricket"), FORMATS[form])
