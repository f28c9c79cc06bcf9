"""The rows that are kept with the book: whole, named by what was asked, and all that the full pages need on any processor."""

import gzip
import hashlib
import json

import pytest
from small_book import ROOT

from mechlib.report.execute import planned
from mechlib.runs.store import rows_digest

pytestmark = pytest.mark.precision

KEPT = sorted((ROOT / "book" / "results" / "rows").glob("*/*.json.gz"))
FULL = "SEEDS=1 STEPS=20 LOCALIZATIONS=fact_lookup,causal_tracing,attribution_patching,random_mlps,all_mlps,nonlocalized"
PAGES = {
    "05": "",
    # These two judge one family of claims, so they are made with the same settings.
    **dict.fromkeys(("06", "11"), "FORMATS=one_shot,question,few_shot,cloze "
                    "RELEARNING={'ranks':[8],'learning_rates':[5e-4],'steps':6,'checkpoints':[3,6]}"),
}


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


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("page", PAGES)
def test_the_full_pages_need_no_run_on_any_processor(monkeypatch, tmp_path, precision, page):
    monkeypatch.setenv("MECHLIB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("MECHLIB_PRECISION", precision)
    found = planned(ROOT, {"PROFILE": "full"}, f"{FULL} {PAGES[page]}", page)
    assert found.startswith("0 runs to compute"), found


def test_another_question_is_not_among_them(monkeypatch, tmp_path):
    monkeypatch.setenv("MECHLIB_RUNS", str(tmp_path / "runs"))
    assert not planned(ROOT, {"PROFILE": "full"}, f"{FULL} SEED=1", "05").startswith("0 runs")
