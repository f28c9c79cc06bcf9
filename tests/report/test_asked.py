"""What execute, plan and keep ask of the book: a study's own parameters are never refused, and what nobody takes is."""

import pytest
from small_book import copy_book

from mechlib.checks import ParameterError
from mechlib.report import execute as module
from mechlib.report.asked import asked
from mechlib.report.book_studies import FILE
from mechlib.report.parameters import read_pages
from mechlib.runs.profiles import PROFILES

STUDY = """[[study]]
key = "mine"
title = "mine"
task = "counterfact-editing"
profile = "full"
pages = ["05_editing", "06_prompting", "00_finding"]
[study.parameters]
SEEDS = 1
FORMATS = ["one_shot", "statement"]
RELEARNING = {ranks = [4], steps = 3}
"""


@pytest.fixture
def root(tmp_path):
    copy_book(tmp_path)
    (tmp_path / "book" / FILE).write_text(STUDY)
    return tmp_path


def names(pages):
    return [page.name for page in pages]


def test_a_study_is_its_profile_its_parameters_and_its_pages_and_what_is_typed_comes_before_them(root):
    values, pages = asked(root, {"MODEL": "m"}, "SEEDS=3", study="mine")
    assert names(pages) == ["00_finding", "05_editing", "06_prompting"]
    own = values["06_prompting"]
    assert (own["MODEL"], own["PROFILE"], own["TASK"], own["SEEDS"]) == ("m", "full", "counterfact-editing", 3)
    assert own["FORMATS"] == ["one_shot", "statement"] and "FORMATS" not in values["05_editing"]


@pytest.mark.parametrize("only", ["00", "00_finding", "05", "00,06"])
def test_chosen_pages_of_a_study_take_what_they_know_of_it(root, only):
    values, pages = asked(root, {}, "", only, "mine")
    assert [name[:2] for name in names(pages)] == [word[:2] for word in only.split(",")]
    assert values["00_finding"]["PROFILE"] == "quick" and values["06_prompting"]["TASK"] == "counterfact-editing"


def test_to_say_what_the_study_says_anyway_changes_nothing(root):
    assert asked(root, {"PROFILE": "full"}, "SEEDS=1", "00", "mine")[0] == asked(root, {}, "", "00", "mine")[0]


def test_a_page_that_takes_long_is_in_the_book_of_fuller_profiles_and_executed_where_it_is_asked_for(root, monkeypatch):
    monkeypatch.setenv("MECHLIB_RUNS", str(root / "runs"))
    everything = {page.name: page for page in read_pages(root / "book")}
    long = [name for name, page in everything.items() if "quick" not in page.profiles]
    assert "27_planted_everywhere" in long and all(set(page.profiles) <= set(PROFILES) for page in everything.values())
    assert names(asked(root, {}, "")[1]) == [name for name in everything if name not in long]
    assert names(asked(root, {"PROFILE": "full"}, "")[1]) == names(asked(root, {}, "PROFILE=paper")[1]) == list(everything)
    assert names(asked(root, {}, "", "27")[1]) == ["27_planted_everywhere"]
    line = f"not in this profile, as they take long: {', '.join(long)} (PAGES={long[0][:2]} asks for one)"
    assert module.planned(root, {}, "").splitlines()[-1] == line
    assert "not in this profile" not in module.planned(root, {}, "", "27") + module.planned(root, {}, "", "00", study="mine")


@pytest.mark.parametrize(("given", "parameters", "only", "study", "said"), [
    ({}, "SEEDS=2", "00", "mine", "SEEDS is given and no page of PAGES='00' takes it"),
    ({}, "SOFT_PROMPT={}", "", "mine", "SOFT_PROMPT is given and no page of STUDY=mine takes it"),
    ({}, "FORMATS=one_shot", "05", "", "FORMATS is given and no page of PAGES='05' takes it"),
    ({}, "", "11", "mine", "PAGES='11_relearning' is no page of STUDY=mine, which has: 05_editing, 06_prompting, 00_finding"),
    ({}, "", "", "mien", "STUDY='mien': there is no such study (did you mean mine?)"),
    ({}, "", "6", "mine", "PAGES='6': there is no such page"),
    ({"PROFILE": "quick"}, "", "", "mine", "STUDY=mine has the profile full: leave out PROFILE='quick'"),
    ({}, "PROFILE=quick", "", "mine", "STUDY=mine has the profile full: leave out PROFILE='quick'"),
])  # fmt: skip
def test_what_cannot_be_asked_is_one_line(root, given, parameters, only, study, said):
    with pytest.raises(ParameterError) as caught:
        asked(root, given, parameters, only, study)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_every_command_takes_a_page_of_a_study(root, monkeypatch):
    monkeypatch.setenv("MECHLIB_RUNS", str(root / "runs"))
    assert module.planned(root, {}, "", "00", study="mine").startswith("0 runs")
    said = []
    module.keep(root, {}, "", "00", said.append, study="mine")
    assert said == ["0 runs kept, 0 of 0 are there"]
    executed = []
    monkeypatch.setattr(module, "execute_page", lambda job: executed.append((job.page.name, dict(job.values))))
    monkeypatch.setattr(module, "build", lambda root, say: root / "index.html")
    module.execute(root, {}, "", said.append, "00", study="mine")
    assert executed == [("00_finding", {"MODEL": "gemma-3-270m", "PROFILE": "quick"})]
