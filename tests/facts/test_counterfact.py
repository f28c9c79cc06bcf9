"""Published facts: the same ones in every shape they come in, and one line where they cannot be used."""

import csv
import json

import datasets
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechlib.facts import FORMATS, Fact, FactError, counterfact, neighbourhood, prompt
from mechlib.facts.reading import texts as listed

# The first fact of CounterFact (Meng et al. 2022, MIT licence), written as the paper's authors released it.
NEAR = """['The mother tongue of Léon Blum is'
 'The native language of Montesquieu is' 'François Bayrou, a native'
 'Michel Rocard is a native speaker of']"""
PUBLISHED = {
    "index": "0", "relation": "The mother tongue of {} is", "prompt": "The mother tongue of Danielle Darrieux is", "relation_id": "P103",
    "target_true": " French", "target_false": " English", "subject": " Danielle Darrieux", "case_id": "0",
    "requested_rewrite": "{'prompt': 'The mother tongue of {} is', 'relation_id': 'P103', 'subject': 'Danielle Darrieux', "
                         "'target_new': {'id': 'Q1860', 'str': 'English'}, 'target_true': {'id': 'Q150', 'str': 'French'}}",
    "paraphrase_prompts": """['Shayna does this and Yossel goes still and dies. Danielle Darrieux, a native'
 'An album was recorded for Capitol Nashville but never released. Danielle Darrieux spoke the language']""",
    "neighborhood_prompts": NEAR,
}  # fmt: skip

ROME = Fact(
    "Rome", "P17", "Italy", "New Spain", ("{} lies in", "It's late. {}, a town in", 'He said "no". {} belongs to'),
    ("Milan lies in", "Where's Pisa? In", 'The "Old" Town is in'),
)  # fmt: skip
KANT = Fact("Kant", "P103", "German", "French", ("The mother tongue of {} is",))


def flat(fact):
    """A row of the filtered file, its lists written out as numpy does."""
    own = [text.replace("{}", fact.subject) for text in fact.wordings[1:]]
    return {"relation": fact.wordings[0], "relation_id": fact.relation, "target_true": f" {fact.answer}", "target_false": f" {fact.target}",
            "subject": f" {fact.subject}", "paraphrase_prompts": own, "neighborhood_prompts": list(fact.neighbourhood)}  # fmt: skip


def nested(fact):
    """A row as the authors of ROME published it."""
    asked = {"prompt": fact.wordings[0], "relation_id": fact.relation, "subject": fact.subject,
             "target_true": {"id": "Q1", "str": fact.answer}, "target_new": {"id": "Q2", "str": fact.target}}  # fmt: skip
    return {"case_id": 3, "requested_rewrite": asked, **{name: flat(fact)[name] for name in ("paraphrase_prompts", "neighborhood_prompts")}}


def quoted(texts):
    """A list as numpy prints it: no commas, some of them on lines of their own."""
    return "[" + "\n ".join(repr(text) for text in texts) + "]"


@pytest.fixture
def write(tmp_path):
    """Writes rows to a file of the given kind and gives its path."""

    def write(rows, kind):
        path = tmp_path / f"mine.{kind}"
        if kind == "csv":
            rows = [{name: quoted(value) if isinstance(value, list) else value for name, value in row.items()} for row in rows]
            with path.open("w", encoding="utf-8", newline="") as lines:
                table = csv.DictWriter(lines, list(rows[0]))
                table.writeheader()
                table.writerows(rows)
        elif kind == "json":
            path.write_text(json.dumps(rows), encoding="utf-8")
        else:
            pd.DataFrame(rows).to_parquet(path)
        return str(path)

    return write


@pytest.fixture
def hub(monkeypatch):
    """A hub that gives these rows (or raises this error), and what it was asked for."""
    asked = []

    def give(found):
        def load_dataset(name, split):
            asked.append((name, split))
            if isinstance(found, Exception):
                raise found
            return datasets.Dataset.from_list(found)

        monkeypatch.setattr(datasets, "load_dataset", load_dataset)
        return asked

    return give


def one_line(source, *words):
    with pytest.raises(FactError) as caught:
        counterfact(source)
    assert "\n" not in str(caught.value)
    assert [word for word in (source, *words) if word not in str(caught.value)] == []


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
@pytest.mark.parametrize("shape", [flat, nested])
def test_the_same_facts_are_read_from_every_shape(write, hub, kind, shape):
    asked = hub(RuntimeError("no file needs the hub"))
    table = counterfact(write([shape(ROME), shape(KANT)], kind))
    assert (table.name, table.facts, asked) == ("mine", (ROME, KANT), [])


@given(st.lists(st.text(st.characters(categories=["L", "P", "Z"], exclude_characters="{}"), min_size=1).filter(str.strip), max_size=4))
def test_texts_of_any_characters_survive_numpy_s_way_to_write_a_list(texts):
    assert listed(quoted(texts)) == texts
    assert listed(repr(texts)) == texts


def test_a_subject_that_a_relation_holds_twice_counts_once(write):
    other = Fact("Rome", "P1376", "Italy", "France", ("{} is the capital of",))
    again = Fact("Rome", "P17", "Gaul", "France", ("{} lies in",))
    assert counterfact(write([flat(ROME), flat(again), flat(other)], "json")).facts == (ROME, other)


def test_a_paraphrase_without_the_subject_is_left_out(write):
    row = {**flat(ROME), "paraphrase_prompts": ["It lies in", "Rome! The city of Rome is in"]}
    assert counterfact(write([row], "csv")).facts[0].wordings == ("{} lies in", "{}! The city of {} is in")


def test_facts_without_lists_have_one_wording(write):
    row = {name: value for name, value in flat(KANT).items() if not name.endswith("prompts")}
    assert counterfact(write([row], "csv")).facts == (KANT,)


def test_a_relation_without_an_id_is_its_words(write):
    row = {name: value for name, value in flat(KANT).items() if name != "relation_id"}
    assert counterfact(write([row], "csv")).facts[0].relation == "The mother tongue of {} is"


@pytest.mark.parametrize(("source", "name", "part"), [("some/facts", "some/facts", "train"), ("some/facts:test", "some/facts", "test")])
def test_a_data_set_of_the_hub_is_read(hub, source, name, part):
    asked = hub([nested(ROME), nested(KANT)])
    assert counterfact(source).facts == (ROME, KANT)
    assert asked == [(name, part)]


@pytest.mark.parametrize("missing", ["relation", "subject", "target_true", "target_false"])
def test_a_missing_column_is_one_line_that_names_the_row(write, missing):
    rows = [{name: value for name, value in flat(fact).items() if name != missing} for fact in (ROME, KANT)]
    one_line(write(rows, "csv"), "row 1", "needs subject, relation, target_true and target_false")


@pytest.mark.parametrize("missing", ["prompt", "subject", "target_true", "target_new"])
def test_a_missing_key_is_one_line_that_names_the_row(write, missing):
    broken = nested(KANT)
    del broken["requested_rewrite"][missing]
    one_line(write([nested(ROME), broken], "json"), "row 2", "requested_rewrite")


def test_a_relation_without_a_place_for_the_subject_is_one_line(write):
    one_line(write([{**flat(ROME), "relation": "Rome lies in"}], "csv"), "row 1", "Rome lies in")


@pytest.mark.parametrize("column", ["subject", "target_true", "target_false", "relation"])
def test_an_empty_entry_is_one_line(write, column):
    one_line(write([flat(ROME), {**flat(KANT), column: ""}], "csv"), "row 2")


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
@pytest.mark.parametrize("column", ["subject", "target_true", "target_false", "relation", "relation_id"])
def test_what_a_cell_lacks_the_request_may_have(write, column, kind):
    rows = [{**flat(ROME), "requested_rewrite": None}, {**flat(KANT), column: None, "requested_rewrite": nested(KANT)["requested_rewrite"]}]
    rows = [{name: "" if value is None and kind == "csv" else value for name, value in row.items()} for row in rows]
    assert counterfact(write(rows, kind)).facts == (ROME, KANT)


def test_words_and_numbers_that_pandas_would_read_as_something_else_stay_text(write):
    odd = Fact("NA", "P1", "007", "null", ("{} follows",))
    for kind in ("csv", "json", "parquet"):
        assert counterfact(write([flat(odd)], kind)).facts == (odd,)


@pytest.mark.parametrize("kind", ["json", "parquet"])
def test_an_entry_that_is_not_there_is_no_word(write, kind):
    broken = nested(KANT)
    broken["requested_rewrite"]["subject"] = None
    one_line(write([nested(ROME), broken], kind), "row 2")


def test_nothing_to_read_is_one_line(write, tmp_path):
    (tmp_path / "none.json").write_text("[]")
    one_line(str(tmp_path / "none.json"), "no rows")


@pytest.mark.parametrize("name", ["nowhere.csv", "nowhere.json", "nowhere.parquet"])
def test_a_missing_file_is_one_line_and_is_not_looked_for_on_the_hub(hub, tmp_path, name):
    asked = hub([flat(ROME)])
    one_line(str(tmp_path / name))
    assert asked == []


@pytest.mark.parametrize("name", ["broken.json", "broken.parquet", "broken.csv"])
def test_a_broken_file_is_one_line(tmp_path, name):
    (tmp_path / name).write_bytes(b'\xff{"a\n"b\n\n"c')
    one_line(str(tmp_path / name))


@pytest.mark.parametrize("error", [ConnectionError("no network\nafter 5 tries"), ValueError("Unknown split"), KeyError()])
def test_a_hub_that_cannot_be_reached_is_one_line(hub, error):
    hub(error)
    one_line("some/facts", (str(error).splitlines() or ["KeyError"])[0])


def test_a_published_fact_is_read(write):
    (first,) = counterfact(write([PUBLISHED], "csv")).facts
    assert (first.subject, first.relation, first.answer, first.target) == ("Danielle Darrieux", "P103", "French", "English")
    assert len(first.wordings) == 3
    near = ["The mother tongue of Léon Blum", "The native language of Montesquieu", "François Bayrou, a native", "Michel Rocard"]
    assert [text.startswith(begin) for text, begin in zip(first.neighbourhood, near, strict=True)] == [True] * 4


def test_a_published_fact_is_asked_in_its_own_words(write):
    (first,) = counterfact(write([PUBLISHED], "csv")).facts
    said = {form: prompt(first, FORMATS[form]) for form in ("one_shot", "few_shot", "statement", "paraphrase_1", "paraphrase_2")}
    assert {form: asked.text for form, asked in said.items()} == {
        "one_shot": "Fact: The mother tongue of Danielle Darrieux is",
        "few_shot": "Fact: The mother tongue of Danielle Darrieux is",
        "statement": "The mother tongue of Danielle Darrieux is",
        "paraphrase_1": "Shayna does this and Yossel goes still and dies. Danielle Darrieux, a native",
        "paraphrase_2": "An album was recorded for Capitol Nashville but never released. Danielle Darrieux spoke the language",
    }
    assert {(asked.answer, asked.target, asked.open) for asked in said.values()} == {(" French", " English", True)}


def test_the_neighbourhood_of_a_published_fact_is_the_published_one(write):
    facts = counterfact(write([PUBLISHED], "csv")).facts
    near = neighbourhood(facts[0], facts, FORMATS["statement"])
    assert [asked.text for asked in near] == list(facts[0].neighbourhood)
    assert len(near) == 4
    assert {(asked.answer, asked.target, asked.format) for asked in near} == {(" French", " English", "neighbourhood")}
