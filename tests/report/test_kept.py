"""The rows that are kept with the book: whole, named by what was asked, and all that the pages of the world study need on any processor."""

import gzip
import hashlib
import json

import pytest
from small_book import ROOT

from mechlib.report.book_studies import FILE, read_studies, study_called
from mechlib.report.execute import planned
from mechlib.runs.store import rows_digest

KEPT = sorted((ROOT / "book" / "results" / "rows").glob("*/*.json.gz"))
STUDY = study_called("world", read_studies(ROOT / "book" / FILE))


def test_kept_rows_are_whole_and_named_by_what_was_asked():
    assert len(KEPT) > 100
    for path in KEPT:
        found = json.loads(gzip.decompress(path.read_bytes()))
        about, rows = found["about"], found["rows"]
        assert about["digest"] == rows_digest(rows, about["value"]), path
        named = hashlib.sha256(json.dumps(about["asked"], sort_keys=True).encode()).hexdigest()[:20]
        assert (path.parent.name, path.name) == (about["asked"]["stage"], f"{about['id']}.json.gz")
        assert named == about["id"], path
        assert len(rows) == about["rows"]


@pytest.mark.precision
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("page", [page for page in STUDY.pages if page != "00_finding"])
def test_the_pages_of_the_study_need_no_run_on_any_processor(monkeypatch, tmp_path, precision, page):
    monkeypatch.setenv("MECHLIB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("MECHLIB_PRECISION", precision)
    found = planned(ROOT, {"PROFILE": STUDY.profile}, STUDY.words, page[:2])
    assert found.startswith("0 runs to compute"), found


@pytest.mark.precision
def test_another_question_is_not_among_them(monkeypatch, tmp_path):
    monkeypatch.setenv("MECHLIB_RUNS", str(tmp_path / "runs"))
    assert not planned(ROOT, {"PROFILE": STUDY.profile}, f"{STUDY.words} SEED=1", "05").startswith("0 runs")
