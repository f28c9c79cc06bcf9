"""The page "Play": what is embedded in it are averages of kept rows, and nothing of a row becomes markup."""

import dataclasses
import json
from pathlib import Path

import pytest
from small_book import ROOT

from mechlib.report.book_studies import BookStudy, read_studies
from mechlib.report.chromium import chromium, program
from mechlib.report.play import SCRIPT, play_data
from mechlib.runs.store import write_archive
from mechlib.runs.study import Study

SUBJECT = {"subject": {"model": "m", "facts": "f"}, "splits": {"n_sets": 1, "set_size": 2}, "format": {"key": "one_shot"}, "forget_set": 0}


def row(subject, correct, **more):
    return {"subject": subject, "relation": "sport", "answer": "golf", "format": "one_shot", "group": "forget", "correct": correct,
            "edited": not correct, **more}  # fmt: skip


def keep(folder, stage, name, label, settings, inputs, value=None, rows=()):
    about = {"id": name, "label": label, "asked": {"stage": stage, "settings": settings, "inputs": inputs}, "value": value or {}}
    write_archive(folder / stage / f"{name}.json.gz", about, rows)


@pytest.fixture
def kept(tmp_path):
    """One edit with its answers and an attack with two steps; the unedited model; an edit's answers whose edit is not kept."""
    localization = {"name": "fact_lookup", "provenance": {"model": "tiny <b>"}}
    keep(tmp_path, "edit", "e", "edit", {"about": SUBJECT, "training": {"steps": 9}}, {}, {"localization": localization})
    answers, known = {"about": SUBJECT, "groups": ["forget", "held_out"]}, {"known": "k"}
    keep(tmp_path, "answers", "a", "answers (one_shot): x", answers, {**known, "edit": "e"}, rows=[row("A", False), row("B", True)])
    keep(tmp_path, "answers", "b", "answers (one_shot): x", answers, known, rows=[row("A", True), row("B", True)])
    keep(tmp_path, "answers", "c", "answers (one_shot): x", answers, {**known, "edit": "gone"}, rows=[row("A", False)])
    steps = [row(name, step == 6, setting="LoRA", step=step) for step in (3, 6) for name in "AB"]
    keep(tmp_path, "attack", "d", "Relearning: x, half 0", {"asked": answers}, {**known, "edit": "e"}, rows=steps)
    return tmp_path


def test_every_cell_is_the_average_of_its_rows(kept):
    (study,) = play_data(kept)
    assert study["name"] == "tiny <b>, athletes, sets of 2 facts, at most 9 steps, forget sets: 1"
    found = {(cell["arm"], cell["attack"], cell["step"]): cell for cell in study["cells"]}
    lookup = "Fact lookup"
    assert {where: cell["shares"]["true answer"][0] for where, cell in found.items()} == {
        ("Unedited", "Prompting", 0): 1, (lookup, "Prompting", 0): 0.5, (lookup, "Relearning", 3): 0, (lookup, "Relearning", 6): 1,
    }  # fmt: skip
    cell = found[lookup, "Prompting", 0]
    assert cell["shares"]["new answer"][0] == 0.5 and cell["n"] == 2 and cell["format"] == "One-shot statement"
    share, low, high = cell["shares"]["true answer"]
    assert 0 <= low < share < high <= 1


def declared(key, title, task, **more):
    return BookStudy(key=key, title=title, task=task, profile="full", pages=["p"], parameters=more)


WORLD = declared("world", "world facts", "counterfact-editing", FORGET_SETS=12)
ATHLETES = declared("athletes", "athletes", "sports-athlete-editing")
PLANTED = declared("planted", "planted facts", "planted-facts", FORGET_SETS=8, LOCALIZATIONS=["planted_site", "other_site"])


def keep_edit(folder, study, name, edit, components, steps=None):
    splits = {key: value for key, value in dataclasses.asdict(study.splits).items() if value is not None}
    about = {"subject": {"model": "m", "facts": study.table.fingerprint}, "splits": splits, "forget_set": 0}
    training = {"steps": steps or study.size.steps, "loss": study.kind.loss}
    value = {"localization": {"name": components, "provenance": {"model": "tiny"}}}
    keep(folder, "edit", name, f"edit: {edit}, forget set 0, seed 0", {"about": about, "training": training}, {}, value)
    keep(folder, "answers", f"of_{name}", "answers", {"about": about, "groups": ["forget"]}, {"edit": name}, rows=[row("A", True)])


def test_studies_of_the_book_have_their_names_and_come_first(tmp_path):
    """The book's in its order; then usual ones of a profile, also with steps of their own; edits are called what their study calls them."""
    kept = [(PLANTED.of("m"), "e", "Planted site", "early_mlps"), (PLANTED.of("m"), "f", "Other site", "late_mlps"),
            (WORLD.of("m"), "b", "Random MLPs, draw 93", "random_mlps_93"),
            (Study(task="full-sports-editing"), "a", "Fact lookup", "fact_lookup"),
            (Study(task="sports-athlete-editing"), "d", "Fact lookup", "fact_lookup")]  # fmt: skip
    for study, name, edit, components in kept:
        keep_edit(tmp_path, study, name, edit, components, 3 if name == "a" else None)
    found = play_data(tmp_path, [WORLD, ATHLETES, PLANTED])
    assert [one["name"].removeprefix("tiny, ") for one in found] == [
        "world facts, profile full, forget sets: 1", "planted facts, profile full, forget sets: 1",
        "athletes, profile quick, forget sets: 1", "Full-Sports-Editing, profile quick, at most 3 steps, forget sets: 1",
    ]  # fmt: skip
    assert [{cell["arm"] for cell in one["cells"]} for one in found[:2]] == [{"Random MLPs, draw 93"}, {"Planted site", "Other site"}]


def test_without_rows_there_is_no_study(tmp_path):
    assert play_data(tmp_path) == []


def test_the_committed_rows_are_a_small_table():
    kept = ROOT / "book" / "results" / "rows"
    studies = play_data(kept, read_studies(ROOT / "book" / "studies.toml"))
    assert studies == [] or ", world facts, profile full, " in studies[0]["name"]
    assert bool(studies) == bool(list((kept / "edit").glob("*")))
    assert len(json.dumps(studies)) < 1_000_000


@pytest.mark.skipif(program() is None, reason="no Chromium is on the path")
def test_a_reader_can_choose(kept, tmp_path):
    table = json.dumps(play_data(kept)).replace("<", "\\u003c")
    page = Path(tmp_path / "page.html")
    data = f'<script type="application/json" id="play-data">{{"studies": {table}, "colours": {{"Fact lookup": "#123456"}}}}</script>'
    page.write_text(f'<div id="play"></div>{data}<script>{SCRIPT.read_text()}</script>')
    with chromium() as browser:
        tab = browser.tab(1280)
        tab.open(page.as_uri())
        assert tab.errors == []
        drawn = "document.querySelector('#play svg').getAttribute('aria-label')"
        assert tab.ask(drawn) == "Unedited: 1.00; Fact lookup: 0.50"
        bars = tab.ask("[...document.querySelectorAll('#play rect')].map(each => each.getAttribute('fill'))")
        assert bars == ["#a8a8a8", "#123456"]
        tab.ask("(() => { const attack = document.querySelector('select[name=attack]'); attack.value = 1; attack.onchange(); })()")
        assert tab.ask(drawn) == "Fact lookup: 1.00"
        tab.ask("(() => { const step = document.querySelector('input[name=step]'); step.value = 0; step.onchange(); })()")
        assert tab.ask(drawn) == "Fact lookup: 0.00"
        assert tab.ask("document.querySelectorAll('#play b').length") == 0
