"""Where pages go: those of usual parameters stay, whatever else is asked."""

import json

import pytest
from small_book import ROOT

from mechlib.report.folders import all_changes, changed, folder_name, in_words, place
from mechlib.report.parameters import page_values, parse, read_pages

BOOK = read_pages(ROOT / "book")
EDITING = next(page for page in BOOK if page.name == "05_editing")
FACTS = next(page for page in BOOK if page.name == "01_facts")
TUNING = next(page for page in BOOK if page.name == "07_tuning")


def asked(text="", profile="quick"):
    values = page_values(BOOK, {**parse(text, BOOK), "PROFILE": profile})
    return values, all_changes(BOOK, values)


def where(results, text="", profile="quick", page=EDITING):
    values, changes = asked(text, profile)
    return place(results, page, values[page.name], changes).relative_to(results).as_posix()


def put(results, folder, text="", profile="quick", page=EDITING, **more):
    (results / folder).mkdir(parents=True, exist_ok=True)
    about = {"fingerprint": "f", "parameters": asked(text, profile)[0][page.name], **more}
    (results / folder / f"{page.name}.ipynb").write_text(json.dumps({"metadata": {"mechlib": about}}))


FORMATS = "FORMATS=one_shot,question,few_shot,cloze,multiple_choice"


@pytest.mark.parametrize("text", [
    "", "SEED=0", "STEPS=24", "SEEDS=1", "FORMATS=None", "LOCALIZATIONS=fact_lookup,causal_tracing,random_mlps", "STOP_AT=0.98",
    FORMATS, "KNOWN_FORMAT=few_shot EDIT_FORMAT=few_shot", "RELEARNING={'steps':6,'ranks':[8]}", "RELEARNING={}",
    "TASK=full-sports-editing STOP_AT=1", "TASK=counterfact-editing KNOWN_FORMAT=one_shot FORMATS=one_shot,statement,paraphrase_1",
])  # fmt: skip
def test_what_is_said_and_is_so_anyway_changes_nothing(text):
    """On pages without values of their own."""
    values, _ = asked(text)
    found = {name for page in BOOK if page.name[:2] in ("05", "06", "11") for name in changed(page, values[page.name])}
    assert found == {"TASK"} & {text.partition("=")[0]}


@pytest.mark.parametrize(("text", "name"), [
    ("STOP_AT=0.9", "STOP_AT"), ("STOP_AT=1", "STOP_AT"), (FORMATS.replace(",few_shot", ""), "FORMATS"), ("FORMATS=question", "FORMATS"),
    ("EDIT_FORMAT=question", "EDIT_FORMAT"), ("RELEARNING={'steps':7}", "RELEARNING"), ("RELEARNING={'stepz':6}", "RELEARNING"),
    # It says how many sets are attacked, too: one of the two of this profile if it is not given.
    ("FORGET_SETS=2", "FORGET_SETS"), ("TASK=full-sports-editing STOP_AT=0.95", "STOP_AT"),
])  # fmt: skip
def test_what_is_said_and_is_otherwise_is_a_change(text, name):
    assert asked(text)[1][name]


def test_all_forget_sets_of_a_profile_that_attacks_all_are_no_change():
    for text, profile in (("FORGET_SETS=8 STEPS=100 SEEDS=3", "full"), ("FORGET_SETS=1 STOP_AT=1", "paper")):
        assert changed(EDITING, asked(text, profile)[0]["05_editing"]) == {}


def test_a_page_with_values_of_its_own_has_them_as_usual():
    values, changes = asked()
    assert values["07_tuning"]["LOCALIZATIONS"] and changes == {}
    assert changed(TUNING, asked("LOCALIZATIONS=all_mlps")[0]["07_tuning"]) == {"LOCALIZATIONS": ["all_mlps"]}


def test_a_folder_is_named_by_what_changed_and_by_nothing_of_the_machine():
    _, changes = asked("STEPS=20 FACTS=/some/place/mine.csv")
    name = folder_name("quick", changes)
    assert name.startswith("quick-facts-steps-20-") and "place" not in name
    assert in_words(changes) == "FACTS=/some/place/mine.csv STEPS=20"
    names = {folder_name("quick", asked(text)[1]) for text in ("STEPS=20", "STEPS=21", "SEED=1", "FACTS=a/x.csv", "FACTS=b/x.csv")}
    assert len(names) == 5
    many = "LOCALIZATIONS=fact_lookup,all_mlps OPTIMIZER=adamw8bit CHECKPOINTING=True MICRO_BATCH=1 STEPS=3 SEED=5"
    assert len(folder_name("full", asked(many)[1])) < 80


def test_the_name_is_the_same_for_every_page(tmp_path):
    pages = [page for page in BOOK if page.name[:2] in ("05", "06", "11")]
    folders = {where(tmp_path, "STEPS=20 FORMATS=question", page=page).split("/")[0] for page in pages}
    assert len(folders) == 1 and folders != {"quick"}


def test_a_changed_page_never_takes_the_place_of_the_usual_one(tmp_path):
    put(tmp_path, "quick")
    assert where(tmp_path) == "quick/05_editing.ipynb"
    other = where(tmp_path, "STEPS=20")
    assert other.startswith("quick-steps-20-")
    assert where(tmp_path, "STEPS=20", page=FACTS) == "quick/01_facts.ipynb"


def test_a_changed_page_that_was_executed_is_found_wherever_it_is(tmp_path):
    put(tmp_path, "full", "STEPS=20 SEEDS=1", "full")
    assert where(tmp_path, "STEPS=20 SEEDS=1", "full") == "full/05_editing.ipynb"
    assert where(tmp_path, "STEPS=20 SEEDS=1 FORMATS=question", "full") == "full/05_editing.ipynb"
    assert where(tmp_path, "STEPS=21 SEEDS=1", "full").startswith("full-seeds-1-steps-21-")


def test_a_usual_page_keeps_its_place_when_what_is_usual_changes(tmp_path):
    put(tmp_path, "quick", "STEPS=20 FORMATS=question", changed={})
    assert where(tmp_path) == "quick/05_editing.ipynb"


def test_the_usual_page_does_not_take_the_place_of_a_changed_one(tmp_path):
    put(tmp_path, "full", "STEPS=20 SEEDS=1", "full")
    assert where(tmp_path, profile="full") == "full-default/05_editing.ipynb"
    put(tmp_path, "full", profile="full")
    assert where(tmp_path, profile="full") == "full/05_editing.ipynb"
    (tmp_path / "full" / "05_editing.ipynb").write_text("damaged")
    assert where(tmp_path, profile="full") == "full/05_editing.ipynb"
