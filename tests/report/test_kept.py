"""The rows that are kept with the book: whole, named by what was asked, and all that its studies' pages need on any processor."""

import gzip
import hashlib
import json

import pytest
from small_book import ROOT

from mechlib.models import on_disk, resolve
from mechlib.report.book_studies import FILE, read_studies, study_called
from mechlib.report.execute import planned
from mechlib.runs.store import rows_digest

KEPT = sorted((ROOT / "book" / "results" / "rows").glob("*/*.json.gz"))
STUDIES = read_studies(ROOT / "book" / FILE)
STUDY = study_called("world", STUDIES)
RESULTS = ROOT / "book" / "results"
# Of which model each study has pages.
RUN = [(path.name, one) for one in STUDIES for path in sorted(RESULTS.iterdir()) if (path / one.folder).is_dir()]


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
@pytest.mark.parametrize(("model", "study"), RUN, ids=lambda one: getattr(one, "key", one))
def test_the_pages_of_a_study_need_no_run_on_any_processor(monkeypatch, tmp_path, model, study):
    """In float32 here, and in bfloat16 where the tests about precision are run again."""
    if not on_disk(resolve(model)):
        pytest.skip(f"{model} is not on this computer")
    monkeypatch.setenv("MECHLIB_RUNS", str(tmp_path / "runs"))
    found = planned(ROOT, {"MODEL": model}, "", study=study.key)
    assert found.startswith("0 runs to compute"), found


def test_each_study_was_run_on_a_model():
    assert {one.key for _, one in RUN} == {one.key for one in STUDIES}


@pytest.mark.precision
def test_another_question_is_not_among_them(monkeypatch, tmp_path):
    monkeypatch.setenv("MECHLIB_RUNS", str(tmp_path / "runs"))
    assert not planned(ROOT, {"PROFILE": STUDY.profile}, f"{STUDY.words} SEED=1", "05").startswith("0 runs")
