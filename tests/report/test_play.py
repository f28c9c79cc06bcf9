"""The page "Play": what is embedded in it are averages of kept rows, and nothing of a row becomes markup."""

import dataclasses
import json
from pathlib import Path

import pytest
from small_book import ROOT

from mechlib.report.book_studies import BookStudy, read_studies
from mechlib.report.chromium import chromium, program
from mechlib.report.play import SCRIPT, play_data
from mechlib.report.play_order import BY, kind, ordered, packed
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
    steps = [row(name, step == 6, setting="LoRA" if step else "none", step=step, format="question") for step in (0, 3, 6) for name in "AB"]
    keep(tmp_path, "attack", "d", "Relearning: x, half 0", {"asked": answers}, {**known, "edit": "e"}, rows=steps)
    return tmp_path


def test_every_cell_is_the_average_of_its_rows(kept):
    (study,) = play_data(kept)
    assert study["name"] == "tiny <b>, athletes, sets of 2 facts, at most 9 steps, forget sets: 1"
    found = {(cell["arm"], cell["attack"], cell["step"]): cell for cell in study["cells"]}
    lookup = "Fact lookup"
    assert {where: cell["shares"]["true answer"][0] for where, cell in found.items()} == {
        ("Unedited", "Prompting", 0): 1, (lookup, "Prompting", 0): 0.5,
        **{(lookup, "Relearning", step): step == 6 for step in (0, 3, 6)},
    }  # fmt: skip
    cell = found[lookup, "Prompting", 0]
    assert cell["shares"]["new answer"][0] == 0.5 and cell["n"] == 2 and cell["format"] == "One-shot statement (trained)"
    share, low, high = cell["shares"]["true answer"]
    assert 0 <= low < share < high <= 1


def test_what_was_asked_before_an_attack_is_the_first_step_of_each_of_its_settings(kept):
    """Of an attack that has no steps it is a setting of its own."""
    rows = [row("A", False, setting=setting, step=0) for setting in ("none", "nf4")]
    asked = {"asked": {"about": SUBJECT, "groups": ["forget"]}}
    keep(kept, "attack", "q", "Quantization: x", asked, {"known": "k", "edit": "e"}, rows=rows)
    (study,) = play_data(kept)
    found = {attack: [(cell["setting"], cell["step"]) for cell in study["cells"] if cell["attack"] == attack]
             for attack in ("Relearning", "Quantization")}  # fmt: skip
    assert found == {"Relearning": [("LoRA", 0), ("LoRA", 3), ("LoRA", 6)], "Quantization": [("none", 0), ("nf4", 0)]}


ARMS = {"Unedited": "the paper's", "Fact lookup": "the paper's", "Causal tracing (MLPs)": "the paper's", "Random MLPs": "the paper's",
        "Nonlocalized": "the paper's", "Last MLPs": "other methods", "A method of my own": "other methods",
        "All MLPs (norm of Fact lookup)": "changes of equal norm", "MLPs right before": "next to fact lookup",
        "MLPs right after": "next to fact lookup", "MLPs, window 1 of 9": "windows of MLPs", "MLPs, window 3 of 9": "windows of MLPs",
        "Random MLPs, draw 39": "draws of random MLPs", "Random MLPs, draw 139": "draws of random MLPs",
        "Early MLPs": "where facts were planted", "Planted site": "where facts were planted", "Other site": "where facts were planted",
        "MLPs, place 2 of 14": "where facts were planted", "MLPs, place 10 of 14": "where facts were planted"}  # fmt: skip


def test_arms_stand_in_the_order_of_the_table_of_localizations_and_those_that_belong_together_are_chosen_together():
    cells = [{"attack": "Prompting", "setting": "none", "step": 0, "format": "Cloze", "group": "facts to keep", "arm": arm} for arm in ARMS]
    assert [cell["arm"] for cell in ordered(cells[::-1])] == [*ARMS]
    assert {arm: kind(arm) for arm in ARMS} == ARMS


def test_attacks_settings_formats_and_groups_have_an_order_too():
    shown = [("Prompting", "none", 0, "Question (trained)", "facts to keep"), ("Prompting", "none", 0, "Cloze", "facts to keep"),
             ("Relearning", "LoRA 8, 0.001", 3, "Cloze", "edited facts, not taught"),
             ("Relearning", "LoRA 8, 0.001", 20, "Cloze", "edited facts, not taught"),
             ("Relearning", "LoRA 8, 0.001", 20, "Cloze", "never-known facts"),
             ("Relearning", "LoRA 512, 0.0002", 3, "Cloze", "facts to keep"),
             ("Relearning (permuted answers)", "LoRA 8, 0.001", 3, "Cloze", "facts to keep"),
             ("Soft prompt", "none", 0, "Cloze", "facts to keep")]  # fmt: skip
    cells = [dict(zip(BY, (*one, "Unedited"), strict=True)) for one in shown]
    assert ordered(cells[::-1]) == cells


def test_a_packed_cell_is_read_again_and_takes_little_room(kept):
    studies = play_data(kept)
    found = packed(studies)
    line, cell = found["studies"][0]["cells"][-1], studies[0]["cells"][-1]
    assert {name: found["names"][name][place] for name, place in zip(BY, line, strict=False)} == {name: cell[name] for name in BY}
    assert line[len(BY) :] == [cell["n"], *cell["shares"]["true answer"], *cell["shares"]["new answer"]]
    assert found["kinds"] == ["the paper's"] * 2


def declared(key, title, task, **more):
    return BookStudy(key=key, title=title, task=task, profile="full", pages=["p"], parameters=more)


WORLD = declared("world", "world facts", "counterfact-editing", FORGET_SETS=12)
ATHLETES = declared("athletes", "athletes", "sports-athlete-editing")
PLANTED = declared("planted", "planted facts", "planted-facts", FORGET_SETS=8, LOCALIZATIONS=["planted_site", "other_site"])


def keep_edit(folder, study, name, edit, components, steps=None):
    splits = {key: value for key, value in dataclasses.asdict(study.splits).items() if value is not None}
    about = {"subject": {"model": "m", "facts": study.table.fingerprint}, "splits": splits, "forget_set": 0,
             "format": {"key": "one_shot"}}  # fmt: skip
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
    assert len(json.dumps(packed(studies))) < 100 * sum(len(study["cells"]) for study in studies) < 400_000


# What a reader does, and what is then drawn.
CHOOSE = """((name, value) => {
    const each = document.querySelector(`#play [name=${name}]`);
    each.value = each.options ? [...each.options].find(one => one.textContent === value).value : value;
    each.dispatchEvent(new Event(each.options ? "change" : "input"));
})"""
DRAWN = "document.querySelector('#play svg').getAttribute('aria-label')"
CHOSEN = "[...document.querySelectorAll('#play select')].map(each => each.selectedOptions[0].textContent)"
# How far text stands out of the drawing or under a bar, and how small the smallest is, in pixels of the screen.
TEXTS = """(() => {
    const svg = document.querySelector("#play svg"), box = svg.getBoundingClientRect(), texts = [...svg.querySelectorAll("text")];
    const bars = [...svg.querySelectorAll("rect")].map(each => each.getBoundingClientRect());
    const crosses = (one, bar) => one.left < bar.right && one.right > bar.left && one.top + 4 < bar.bottom && one.bottom - 4 > bar.top;
    const under = one => bars.some(bar => crosses(one, bar));
    const seen = texts.map(each => each.getBoundingClientRect());
    return {out: Math.max(...seen.map(one => Math.max(box.left - one.left, one.right - box.right))), under: seen.filter(under).length,
            small: Math.min(...texts.map(each => parseFloat(getComputedStyle(each).fontSize) * svg.getScreenCTM().a))};
})()"""


def page_of(folder, studies):
    table = json.dumps({**packed(studies), "colours": {"Fact lookup": "#123456"}}).replace("<", "\\u003c")
    page = Path(folder / "page.html")
    page.write_text(f'''<!DOCTYPE html><meta charset="utf-8"><meta name="viewport" content="width=device-width">
        <div id="play"></div><script type="application/json" id="play-data">{table}</script><script>{SCRIPT.read_text()}</script>''')
    return page.as_uri()


@pytest.mark.skipif(program() is None, reason="no Chromium is on the path")
def test_a_reader_can_choose(kept, tmp_path):
    """It opens with relearning at its end; a slider goes through the steps and keeps the keyboard; prompts were not trained."""
    with chromium() as browser:
        tab = browser.tab(1280)
        tab.open(page_of(tmp_path, play_data(kept)))
        assert tab.errors == []
        assert tab.ask(DRAWN) == "Fact lookup: 1.00"
        tab.ask("document.querySelector('input[name=step]').focus()")
        said = "document.querySelector('input[type=range]').labels[0].textContent"
        for place, about, drawn in ((1, "step 3 of 6", "Fact lookup: 0.00"), (0, "step 0, before the attack", "Fact lookup: 0.00"),
                                    (2, "step 6 of 6", "Fact lookup: 1.00")):  # fmt: skip
            tab.ask(f"{CHOOSE}('step', {place})")
            assert (tab.ask(said), tab.ask(DRAWN)) == (about, drawn)
        assert tab.ask("document.activeElement.name") == "step"
        tab.ask(f"{CHOOSE}('attack', 'Prompting')")
        assert tab.ask("document.querySelector('input[name=step]').getClientRects().length") == 0
        tab.ask(f"{CHOOSE}('format', 'One-shot statement (trained)')")
        assert tab.ask(DRAWN) == "Unedited: 1.00; Fact lookup: 0.50"
        bars = tab.ask("[...document.querySelectorAll('#play rect')].map(each => each.getAttribute('fill'))")
        assert bars == ["#a8a8a8", "#123456"]
        assert tab.ask("document.querySelectorAll('#play b').length") == 0


def study_of(arms):
    cells = [{"attack": "Prompting", "setting": "none", "step": 0, "format": form, "group": "facts to keep", "arm": arm, "n": 9,
              "shares": {"true answer": [0.5, 0.25, 1.0], "new answer": [0.0, 0.0, 0.1]}}
             for form in ("One-shot statement (trained)", "Cloze") for arm in arms]  # fmt: skip
    return [{"name": "a study", "cells": ordered(cells)}]


@pytest.mark.skipif(program() is None, reason="no Chromium is on the path")
def test_arms_are_chosen_by_kind_and_a_prompt_that_was_not_trained_is_shown_first(tmp_path):
    with chromium() as browser:
        tab = browser.tab(1280)
        tab.open(page_of(tmp_path, study_of(ARMS)))
        chosen = tab.ask(CHOSEN)
        assert "Cloze" in chosen and chosen[-1] == "the paper's"

        def drawn():
            return [one.rpartition(":")[0] for one in tab.ask(DRAWN).split("; ")]

        assert drawn() == [arm for arm, what in ARMS.items() if what == "the paper's"]
        tab.ask(f"{CHOOSE}('arms', 'windows of MLPs')")
        assert drawn() == ["Unedited", "Fact lookup", "MLPs, window 1 of 9", "MLPs, window 3 of 9"]
        tab.ask(f"{CHOOSE}('arms', 'all of them')")
        assert drawn() == [*ARMS]


@pytest.mark.skipif(program() is None, reason="no Chromium is on the path")
@pytest.mark.parametrize("width", [1280, 390])
def test_no_name_is_cut_and_text_can_be_read(tmp_path, width):
    with chromium() as browser:
        tab = browser.tab(width)
        tab.open(page_of(tmp_path, study_of(["Unedited", "Attribution patching (MLPs)", "Attribution patching, denoising (MLPs)"])))
        found = tab.ask(TEXTS)
        assert found["out"] <= 0 and found["under"] == 0 and found["small"] >= 13
        assert tab.ask("document.documentElement.scrollWidth") <= width
