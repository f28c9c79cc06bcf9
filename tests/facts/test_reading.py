"""Files of facts in every form that is plain, and one line with the place for the rest: nothing is guessed, nothing drops unsaid."""

import json
import random

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mechlib.facts import Fact, FactError, athletes, counterfact

ROME = Fact("Rome", "P17", "Italy", "New Spain", ("{} lies in", "The town of {}, in"), ("Milan lies in",))
ROW = {"subject": " Rome", "relation": "{} lies in ", "relation_id": "P17", "target_true": " Italy", "target_false": " New  Spain",
       "paraphrase_prompts": ["The town of Rome, in "], "neighborhood_prompts": ["Milan lies in"]}  # fmt: skip
PLAIN = [ROW, {**ROW, "subject": "Kyoto", "paraphrase_prompts": [], "neighborhood_prompts": []}]
NESTED = "[" * 100_000


def table(separator=",", rows=PLAIN):
    cells = [[json.dumps(cell) if isinstance(cell, list) else cell for cell in row.values()] for row in rows]
    return pd.DataFrame(cells, columns=list(rows[0])).to_csv(index=False, sep=separator)


@pytest.fixture
def read(tmp_path):
    def write_and_read(content, name="mine.csv", loader=counterfact):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return loader(str(path) if loader is counterfact else path)

    return write_and_read


@pytest.mark.parametrize(("content", "name"), [
    (table(), "mine.csv"), (table(";"), "mine.csv"), (table("\t"), "mine.tsv"), ("sep=;\n" + table(";"), "mine.CSV"),
    ("\ufeff" + table(), "mine.csv"), (table().encode("utf-16"), "mine.txt"), (table().replace("\n", "\r\n"), "mine.csv"),
    (table().replace("subject", " Subject").replace("target_true", "TARGET_TRUE"), "mine.csv"),
    (json.dumps(PLAIN), "mine.json"), ("\n".join(map(json.dumps, PLAIN)), "mine.jsonl"), ("\n".join(map(json.dumps, PLAIN)), "mine.json"),
    (json.dumps({name: {str(at): row[name] for at, row in enumerate(PLAIN)} for name in ROW}), "mine.json"),
])  # fmt: skip
def test_the_same_facts_are_read_from_every_plain_form(read, content, name):
    first, second = read(content, name).facts
    assert (first, second.subject) == (ROME, "Kyoto")


@pytest.mark.parametrize(("content", "name"), [
    ("Athlete;Sport\nA B;golf\n", "mine.csv"), ("athlete\tsport\r\nA B\tgolf\r\n", "mine.tsv"),
    ('{"athlete": "A B", "sport": "golf"}\n', "mine.jsonl"), ('[{"athlete": "A B", "sport": "golf"}]', "mine.json"),
])  # fmt: skip
def test_athletes_are_read_from_them_too(read, content, name):
    assert read(content, name, athletes).facts == (Fact("A B", "sport", "golf"),)


HEAD = "subject,relation,target_true,target_false\n"


@pytest.mark.parametrize(("content", "name", "says"), [
    ("", "mine.csv", "no rows"), (HEAD, "mine.csv", "no rows"), ("", "mine.json", "cannot be read"), ("", "mine.jsonl", "no rows"),
    (HEAD + "Rome,{} lies in,Italy,Spain\nRome,{} lies,Paris,Paris\n", "mine.csv", "row 2, line 3: Rome: the edit target is the true"),
    (HEAD + "Rome,{} lies in,Italy,\n", "mine.csv", "row 1, line 2: .*without target_false"),
    (HEAD + "Rome,{} lies in,Italy, of course,Spain\n", "mine.csv", "row 1, line 2: 5 entries for 4 columns"),
    (HEAD + 'Rome,"{} lies in,Italy,Spain\n', "mine.csv", "line 2: cannot be read"),
    (HEAD + "Rome,{} lies in,Ita\0ly,Spain\n", "mine.csv", "line 2: .*null character"),
    ((HEAD + "Málaga,{} lies in,Spain,Italy\n").encode("latin-1"), "mine.csv", "line 2: .*not utf-8"),
    (HEAD + f"{'x' * 200_000},{{}} lies in,Italy,Spain\n", "mine.csv", "line 2: cannot be read"),
    ("subject,subject\nA,B\n", "mine.csv", "the column subject stands twice"),
    (NESTED, "mine.json", "cannot be read"), ("1" * 6000, "mine.json", "cannot be read|no list"), ("[3]", "mine.json", "row 1"),
    ('{"a": 1}\n{"a"\n', "mine.jsonl", "row|line"), (json.dumps([{**ROW, "subject": {"a": 1}}]), "mine.json", "row 1: .* is no text"),
    (json.dumps([{**ROW, "subject": "\ud800"}]), "mine.json", "row 1: .*half of one"),
    (json.dumps([{**ROW, "paraphrase_prompts": "[O'Brien lies in, D'Arcy lies in]"}]), "mine.json", "row 1: the list .* cannot be read"),
    *((json.dumps([{"requested_rewrite": text}]), "mine.json", "row 1") for text in (NESTED, "{'a': ", "(-" * 20_000, "{[1]: 2}", "3")),
])  # fmt: skip
def test_what_is_not_plain_is_one_line_with_its_place(read, content, name, says):
    with pytest.raises(FactError, match=says) as caught:
        read(content, name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("source", ["/dev/zero", "~nobody-here/mine.csv", "a\0b.csv", "x" * 5000 + ".csv", "."])
def test_what_is_no_file_is_one_line(source):
    with pytest.raises(FactError) as caught:
        counterfact(source)
    assert "\n" not in str(caught.value)


def test_what_is_left_out_is_listed_with_its_place(read):
    odd = {**ROW, "paraphrase_prompts": ["The town of Rome, in", "Romeo lives in"],
           "neighborhood_prompts": ["Milan lies in", "In Rome, Milan is in"]}  # fmt: skip
    found = read(json.dumps([odd, {**ROW, "target_true": "Gaul"}]), "mine.json")
    assert found.facts == (ROME,)
    assert [str(one) for one in found.left_out] == [
        "row 1: Romeo lives in: the paraphrase does not name Rome",
        "row 1: In Rome, Milan is in: the neighbourhood text names Rome itself",
        "row 2: Rome -> Gaul (edit: New Spain): the subject stands in this relation before, with the answer Italy",
    ]


@pytest.mark.parametrize(("subject", "text", "worded"), [
    ("Jose\u0301", "José plays in", "{} plays in"), ("José", "The home of Jose\u0301 is", "The home of {} is"),
    ("Ur", "Urban Ur lies in Uruk", "Urban {} lies in Uruk"), ("New York", "In New  York, the Times", "In {}, the Times"),
    ("東京", "首都東京は", "首都{}は"), ("Rome", "{} was built in", "{} was built in"),
])  # fmt: skip
def test_a_paraphrase_names_its_subject_in_words_of_its_own(read, subject, text, worded):
    (fact,) = read(json.dumps([{**ROW, "subject": subject, "paraphrase_prompts": [text]}]), "mine.json").facts
    assert fact.wordings[1] == worded


def refused(read, content, name):
    for loader in (counterfact, athletes):
        try:
            read(content, name, loader)
        except FactError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("seed", range(8))
def test_random_truncated_and_altered_files_are_read_or_refused(read, seed, tmp_path):
    generator = random.Random(seed)
    pd.DataFrame(PLAIN).to_parquet(tmp_path / "whole.parquet")
    whole = {"mine.csv": table().encode(), "mine.json": json.dumps(PLAIN).encode(), "mine.jsonl": json.dumps(ROW).encode(),
             "mine.parquet": (tmp_path / "whole.parquet").read_bytes(), "mine.tsv": table("\t").encode("utf-16")}  # fmt: skip
    for name, content in whole.items():
        altered = bytearray(content)
        for _ in range(3):
            altered[generator.randrange(len(altered))] = generator.randrange(256)
        for broken in (content[: generator.randrange(len(content))], bytes(altered), generator.randbytes(80)):
            refused(read, broken, name)


keys = st.sampled_from([*ROW, "requested_rewrite", "prompt", "str", "a"])
leaves = st.none() | st.booleans() | st.floats() | st.integers() | st.text()
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=12)


@given(values)
@example([{**ROW, "requested_rewrite": [1]}])
def test_any_json_is_read_or_refused(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps([value]))
    for loader in (lambda: counterfact(str(path)), lambda: athletes(path)):
        try:
            loader()
        except FactError as error:
            assert "\n" not in str(error)
