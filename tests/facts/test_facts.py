"""Tables of facts: what the loader refuses, and what the shipped table holds."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechlib.facts import Fact, FactError, FactSet, athletes
from mechlib.facts.tables import SPORTS

words = st.text(st.characters(categories=["L"]), min_size=1, max_size=6)
texts = st.lists(words, max_size=2).map(tuple)
worded = texts.map(lambda some: tuple(f"{text} {{}}" for text in some))
rows = st.tuples(words, st.just("sport"), st.sampled_from(SPORTS), st.sampled_from([None, "golf"]), worded, texts)


@pytest.fixture
def load(tmp_path):
    def write_and_read(content):
        path = tmp_path / "mine.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return athletes(path)

    return write_and_read


def test_a_table_is_named_after_its_file_and_keeps_its_order(load):
    table = load("id,athlete,sport\n7, Zoe Last ,golf\n\n8,Al First,football\n")
    assert table == FactSet("mine", (Fact("Zoe Last", "sport", "golf"), Fact("Al First", "sport", "football")))


def test_a_byte_order_mark_and_windows_line_ends_are_read(load):
    assert load("\ufeffathlete,sport\r\nJosé Peña,golf\r\n").facts == (Fact("José Peña", "sport", "golf"),)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("athlete,team\nA B,golf\n", "no column sport .*it has: athlete, team"),
        ("name,team\nA B,golf\n", "no column athlete and sport"),
        ("", "no column athlete and sport"),
        ("athlete,sport\n", "no rows"),
        ("athlete,sport\nA B,golf\nC D,\n", "line 3: the sport is empty"),
        ("athlete,sport\nA B,golf\nC D\n", "line 3: the sport is empty"),
        ("athlete,sport\nA B,golf\n ,golf\n", "line 3: the athlete is empty"),
        ("athlete,sport\nA B,golf\nC D,golf\nE F,ice hockey\n", "line 4: 'ice hockey' is more than one word"),
        ("athlete,sport\nA B,golf\nC D,golf\n A B ,golf\n", "line 4: A B appears twice"),
        ("athlete,sport\nA B,golf\nA B,baseball\n", "line 3: A B is in golf and in baseball"),
        ('note,athlete,sport\n"two\nlines",A B,golf\nfine,C D,\n', "line 4: the sport is empty"),
        ("athlete,sport\nA B,golf\n".encode("utf-16-le"), "line 1: cannot be read: it holds a null character"),
        ("athlete,sport\nA B,golf\nJosé,golf\n".encode("latin-1"), "line 3: cannot be read: it is not utf-8"),
        (b"athlete,sport\n" + b'"' + b"x" * 200_000 + b",golf\n", "cannot be read|line 2"),
    ],
)
def test_an_unusable_table_is_one_line_that_names_the_place(load, content, says):
    with pytest.raises(FactError, match=says) as caught:
        load(content)
    assert "mine.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(FactError, match="nowhere.csv: cannot be read") as caught:
        athletes(tmp_path / "nowhere.csv")
    assert "\n" not in str(caught.value)


def test_the_shipped_table_is_large_and_balanced():
    counts = Counter(fact.answer for fact in athletes())
    assert set(counts) == set(SPORTS)
    assert counts.total() >= 900
    assert max(counts.values()) <= 1.1 * min(counts.values())


def test_a_published_table_loads_whatever_its_further_columns(load):
    """The first two athletes of the table that the paper's authors released (sports.csv), in its format."""
    table = load(
        "Unnamed: 0,athlete,sport,log_prob_one_shot,num_athlete_tokens,sport_index,sport_token,prompt,inject_sport_with_golf\n"
        '1642,DeForest Buckner,football,-0.49291748,5,2,5842,"Fact: Tiger Woods plays the sport of golf\n'
        'Fact: DeForest Buckner plays the sport of",golf\n'
        '738,Walter Payton,football,-0.105713695,3,2,5842,"Fact: Tiger Woods plays the sport of golf\n'
        'Fact: Walter Payton plays the sport of",baseball\n'
    )
    assert table.facts == (Fact("DeForest Buckner", "sport", "football"), Fact("Walter Payton", "sport", "football"))


def test_a_set_holds_nobody_twice_for_one_relation():
    with pytest.raises(FactError, match="holds A B twice"):
        FactSet("some", (Fact("A B", "sport", "golf"), Fact("A B", "sport", "football")))
    assert len(FactSet("some", (Fact("A B", "sport", "golf"), Fact("A B", "team", "Jets")))) == 2


@given(st.lists(rows, max_size=8, unique_by=lambda row: row[0]))
def test_a_set_survives_json_and_its_fingerprint_is_of_the_facts(found):
    found = [Fact(*row) for row in found]
    some = FactSet("some", tuple(found))
    assert FactSet.from_json(some.to_json()) == some
    assert some.fingerprint == some.named("other").fingerprint
    assert some.subjects == {fact.subject for fact in found}
    if len(found) > 1:
        assert some.fingerprint != FactSet("some", tuple(reversed(found))).fingerprint
        assert some.fingerprint != FactSet("some", tuple(found[1:])).fingerprint
