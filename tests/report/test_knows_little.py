"""Models that know nothing, one class, or few facts: their pages say why, and the command goes on."""

import json

import pytest
from small_book import SmallBook, copy_book

from mechlib.report.execute import planned

NOTHING, ONE_CLASS, FEW = "KNOWN_THRESHOLD=0.9", "KNOWN_THRESHOLD=0.54", "KNOWN_THRESHOLD=0.3 FORGET_SET_SIZE=60"


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    book = SmallBook.at(tmp_path_factory.mktemp("little"))
    for name in ("02_localization", "05_editing"):
        (book.root / "book" / f"{name}.py").unlink()
    book.parameters = "FORGET_SET_SIZE=4 FORGET_SETS=1 STEPS=2"
    return book


def texts(book, more, name):
    page = json.loads((book.folder(f"FACTS={book.facts} {book.parameters} {more}") / f"{name}.ipynb").read_text())
    assert [output for cell in page["cells"] for output in cell.get("outputs", ()) if output["output_type"] == "error"] == []
    assert "IMPOSSIBLE" not in json.dumps(page)
    return ["".join(cell["source"]) for cell in page["cells"] if cell["cell_type"] == "markdown"]


@pytest.mark.parametrize(("more", "word"), [(NOTHING, "0 facts"), (ONE_CLASS, "1 answers"), (FEW, "forget sets of 60")])
def test_pages_of_a_model_that_knows_little_say_so_and_what_helps(book, more, word):
    said = book.execute(more)
    lines = [one for one in said if "impossible: " in one]
    assert len(lines) == 2 and all(word in one and "KNOWN_THRESHOLD" in one and "TASK" in one for one in lines)
    assert said[-1] == "building the book"
    facts, prompting = texts(book, more, "01_facts"), texts(book, more, "06_prompting")
    assert "## Who plays what" in "".join(facts) and facts[-1].split("\n\n")[-1].startswith("**Not possible here.**")
    assert prompting[0].split("\n\n")[1].startswith("**Not possible here.**") and len(prompting) == 1
    assert sum(text.count("Not possible") for text in (*facts, *prompting)) == 2
    again = book.execute(more, execute_page=lambda _: pytest.fail("a page was executed"))
    assert sum("up to date, and impossible: " in one for one in again) == 2
    assert not any("  run " in one for one in again)


def test_planning_all_pages_of_such_a_model_needs_no_facts(book, tmp_path, monkeypatch):
    book.execute(NOTHING, execute_page=lambda _: None)
    monkeypatch.setenv("MECHLIB_RUNS", str(book.runs))
    found = planned(copy_book(tmp_path), {"MODEL": str(book.model)}, f"FACTS={book.facts} {book.parameters} {NOTHING}")
    assert "runs to compute" in found
