"""A format that the unedited model cannot answer, and pages that ask whether it is the one that edits are trained on."""

import jupytext
import pytest
from attack_rows import HARD, answers, line, row
from small_book import ROOT

from mechlib.report import robustness, sentences, tables
from mechlib.report.parameters import read_page, studies
from mechlib.runs.store import default_store
from mechlib.runs.study import Study
from mechlib.runs.tasks import TASKS
from mechlib.runs.work import Result


def unedited(**right):
    """32 facts of the unedited model in each format, of which so many are right."""
    return [row("unedited", "forget", number, number < count, format=form) for form, count in right.items() for number in range(32)]


def test_a_format_is_void_by_the_chance_of_its_relation():
    rows = unedited(one_shot=0, question=16, cloze=31)
    # Sixteen of 32: from .34 on, and guessing with its margin is .35; where every token competes, it is next to never.
    assert tables.void_formats(rows) == ["one_shot", "question"]
    assert tables.void_formats([{**one, "open": True} for one in rows]) == ["one_shot"]


def test_the_warning_says_how_bad_it_is_and_what_would_do():
    rows = unedited(one_shot=0, question=31, cloze=2, few_shot=30)
    text = sentences.void_training(unedited(one_shot=0), rows)
    assert "0\u00a0%" in text and "EDIT_FORMAT=question or EDIT_FORMAT=few_shot" in text and "cloze" not in text
    assert "TASK" in sentences.void_training(unedited(one_shot=0), unedited(one_shot=0, cloze=2))
    assert "page on editing" in sentences.void_training(unedited(one_shot=0), ())


@pytest.mark.parametrize("page", sorted((ROOT / "book").glob("[0-9][0-9]_*.py")), ids=lambda path: path.stem)
def test_every_page_about_edits_asks_the_unedited_model_whether_its_study_is_void(page):
    text = page.read_text()
    assert ("unedited" in text.split("needs:")[1].splitlines()[0]) == ("EDIT_FORMAT = " in text)


@pytest.mark.parametrize("page", sorted((ROOT / "book").glob("[0-9][0-9]_*.py")), ids=lambda path: path.stem)
def test_a_page_with_verdicts_needs_the_runs_of_the_whole_family_and_can_be_given_their_settings(page):
    found = read_page(page)
    if "page.verdicts" in page.read_text():
        if all(TASKS[study.task].spread for study in studies(found, found.parameters)):  # nothing is edited
            assert {"know", "found", "looked_up"} <= {*found.needs} and "claims.toml" in found.reads
            return
        assert {"unedited", "edit", "prompting", "relearning"} <= {*found.needs, *(["relearning"] if "attacks" in found.needs else [])}
        assert {"FORMATS", "RELEARNING"} <= found.parameters.keys() and "claims.toml" in found.reads
        tasks = {study.task for study in studies(found, found.parameters)}
        assert ("able" in found.needs) == any(TASKS[task].beyond for task in tasks)


def test_a_model_that_had_nothing_to_keep_is_broken_and_leaving_it_alone_is_not():
    rows = answers("fact_lookup", ("none", 0), {"forget": 0.1, "maintain": 0.2})
    rows += answers("fact_lookup", HARD, {"forget": 0.9, "maintain": 0.2})
    table = robustness.outcomes(rows)
    assert line(table, "fact_lookup", HARD)["void"]
    assert not line(table, "fact_lookup", ("none", 0))["void"]
    assert robustness.strongest(table).strongest.tolist() == ["before the attack"]


@pytest.mark.parametrize("right", [{"one_shot": 1, "question": 31, "cloze": 2}, {"one_shot": 31, "question": 1, "cloze": 2}])
def test_the_page_on_editing_opens_with_the_formats_that_work(right, tmp_path, monkeypatch):
    """Its own first cells, over the stored answers of a model that copies the demonstration, and of one that does not."""
    monkeypatch.setenv("MECHLIB_RUNS", str(tmp_path))
    monkeypatch.setattr("mechlib.runs.specs.localizing.fingerprint", lambda spec: spec.name)
    study = Study(forget_sets=1, formats=tuple(right), edit_format="one_shot")
    store = default_store()
    for form, (_, spec) in zip(right, study.runs("trainable"), strict=True):
        with store.writing(spec) as folder:
            store.finish(folder, spec, Result(unedited(**{form: right[form]})), 1.0)
    parameters, first = [cell.source for cell in jupytext.read(ROOT / "book" / "05_editing.py").cells if cell.cell_type == "code"][:2]
    page = {}
    before, _, last = first.rpartition("\n")
    exec(f"{parameters}\nFORGET_SETS, FORMATS, EDIT_FORMAT = 1, {tuple(right)}, 'one_shot'\n{before}", page)
    banner = eval(last, page).data.partition("<details>")[0]
    assert ("Void." in banner) == (right["one_shot"] == 1)
    assert ("EDIT_FORMAT=question" in banner) == (right["one_shot"] == 1)
    assert "EDIT_FORMAT=cloze" not in banner and "EDIT_FORMAT=one_shot" not in banner
