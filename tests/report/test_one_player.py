"""A table with a single football player among 147 others: the book is made."""

import json

import pytest
from small_book import SmallBook

from mechlib.facts import athletes
from mechlib.facts.fact import by_answer


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    book = SmallBook.at(tmp_path_factory.mktemp("one"))
    # The last page asks the edited models: they are made in any case.
    (book.root / "book" / "05_editing.py").unlink()
    sports = by_answer(athletes())
    table = [*sports["football"][:1], *sports["baseball"][:74], *sports["basketball"][:73]]
    assert len(table) == 148
    book.facts.write_text("athlete,sport\n" + "".join(f"{fact.subject},{fact.answer}\n" for fact in table))
    return book


@pytest.mark.parametrize("more", ["", "TASK=full-sports-editing"])
def test_every_page_is_made(book, more):
    said = book.execute(more)
    made = [json.loads(path.read_text()) for path in book.folder(f"FACTS={book.facts} {book.parameters} {more}").glob("*.ipynb")]
    assert made and said[-1] == "building the book"
    outputs = [output for page in made for cell in page["cells"] for output in cell.get("outputs", ())]
    assert not any(output["output_type"] == "error" or "Warning" in json.dumps(output) for output in outputs)
    # In this table another part holds him, so that two whole sports are left to forget (tests/facts/test_split_by_answer.py).
    assert not any("impossible: " in line for line in said)
