"""A table with a single football player among 147 others: the book is made, and a task that needs more of them says so in one line."""

import json

import pytest
from small_book import SmallBook

from mechlib.facts import athletes
from mechlib.facts.fact import by_answer


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    book = SmallBook.at(tmp_path_factory.mktemp("one"))
    sports = by_answer(athletes())
    table = [*sports["football"][:1], *sports["baseball"][:74], *sports["basketball"][:73]]
    assert len(table) == 148
    book.facts.write_text("athlete,sport\n" + "".join(f"{fact.subject},{fact.answer}\n" for fact in table))
    return book


def pages(book, more=""):
    folder = book.folder(f"FACTS={book.facts} {book.parameters} {more}")
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.ipynb")}


def test_every_page_is_made(book):
    said = book.execute()
    made = pages(book)
    assert len(made) == 4 and said[-1] == "building the book"
    outputs = [output for page in made.values() for cell in page["cells"] for output in cell.get("outputs", ())]
    assert not any(output["output_type"] == "error" or "Warning" in json.dumps(output) for output in outputs)
    assert not any("impossible: " in line for line in said)


def test_a_whole_sport_of_one_player_cannot_be_forgotten(book):
    task = "TASK=full-sports-editing"
    said = book.execute(task)
    lines = [line for line in said if "impossible: " in line]
    assert lines and all("1 with the answer 'football'" in line and "KNOWN_THRESHOLD" in line for line in lines)
    assert said[-1] == "building the book" and len(pages(book, task)) == 4
