"""Models side by side: those of the results, each by its own runs, and one that is not here without an error."""

import shutil

import nbformat
import pytest
from small_book import ROOT
from test_front import CLAIMS, RELEARNING, TRANSFER, line, told

from mechlib.models import ModelError
from mechlib.report import models_compared
from mechlib.report.forest import gaps
from mechlib.report.front import Book
from mechlib.report.models_compared import ABSENT, compared, models, of_models, side_by_side
from mechlib.runs.store import Store


@pytest.fixture
def results(tmp_path):
    """A book with results of two models, one of them asked for by a path."""
    page = nbformat.v4.new_notebook(metadata={"mechlib": {"parameters": {"MODEL": "/models/other", "PROFILE": "quick"}}})
    (tmp_path / "book" / "results" / "other" / "quick").mkdir(parents=True)
    nbformat.write(page, tmp_path / "book" / "results" / "other" / "quick" / "05_editing.ipynb")
    own = tmp_path / "book" / "results" / "gemma-3-270m" / "quick"
    own.mkdir(parents=True)
    shutil.copy(ROOT / "book" / "results" / "gemma-3-270m" / "quick" / "05_editing.ipynb", own)
    return tmp_path


def test_models_are_those_that_pages_were_executed_for(results):
    assert models(results) == {"gemma-3-270m": "gemma-3-270m", "other": "/models/other"}


def test_each_model_is_told_by_its_own_runs_and_one_that_is_not_here_is_said_to_be_so(results, monkeypatch):
    def decided(book, claims):
        if book.model == "/models/other":
            raise ModelError("/models/other: no such folder")
        return told(line(TRANSFER, "random_mlps", -2.0), line(RELEARNING, "random_mlps"))

    monkeypatch.setattr(models_compared, "decided", decided)
    few = CLAIMS.model_copy(update={"claim": [TRANSFER, RELEARNING]})
    found = of_models(Book(results, Store(results / "runs"), "gemma-3-270m", ()), few)
    table = compared(found, few)
    assert list(table.columns) == ["claim", "gemma-3-270m", "other"]
    assert table["gemma-3-270m"].tolist() == ["supported (8 forget sets)", "not run yet"] and set(table.other) == {ABSENT}
    assert gaps(side_by_side(found)).about.tolist() == ["athletes, gemma-3-270m"]


def test_a_book_without_results_has_no_models(tmp_path):
    assert models(tmp_path) == {} and list(compared({}, CLAIMS).columns) == ["claim"]
