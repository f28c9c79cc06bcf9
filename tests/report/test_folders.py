"""Where pages go: those of usual parameters stay, whatever else is asked."""

import json

import pytest
from small_book import ROOT

from mechlib.report.folders import all_changes, changed, folder_name, in_words, place
from mechlib.report.parameters import page_values, parse, read_pages

BOOK = read_pages(ROOT / "book")
EDITING = next(page for page in BOOK if page.name == "05_editing")
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


@pytest.mark.parametrize("text", ["", "SEED=0", "STEPS=12", "SEEDS=1", "LOCALIZATIONS=fact_lookup,causal_tracing,random_mlps FORMATS=None"])
def test_what_is_said_and_is_so_anyway_changes_nothing_on_a_page(text):
    values, _ = asked(text)
    assert changed(EDITING, values["05_editing"]) == {}


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
    assert where(tmp_path, "STEPS=20", page=BOOK[0]) == "quick/01_facts.ipynb"


def test_a_changed_page_that_was_executed_is_found_wherever_it_is(tmp_path):
    put(tmp_path, "full", "STEPS=20 SEEDS=1", "full")
    assert where(tmp_path, "STEPS=20 SEEDS=1", "full") == "full/05_editing.ipynb"
    assert where(tmp_path, "STEPS=20 SEEDS=1 FORMATS=question", "full") == "full/05_editing.ipynb"
    assert where(tmp_path, "STEPS=21 SEEDS=1", "full").startswith("full-seeds-1-steps-21-")


def test_the_usual_page_does_not_take_the_place_of_a_changed_one(tmp_path):
    put(tmp_path, "full", "STEPS=20 SEEDS=1", "full")
    assert where(tmp_path, profile="full") == "full-default/05_editing.ipynb"
    put(tmp_path, "full", profile="full")
    assert where(tmp_path, profile="full") == "full/05_editing.ipynb"
    (tmp_path / "full" / "05_editing.ipynb").write_text("damaged")
    assert where(tmp_path, profile="full") == "full/05_editing.ipynb"


@pytest.mark.parametrize("page", ["05_editing", "06_prompting", "11_relearning"])
def test_the_committed_full_pages_are_found_by_the_command_that_made_them(page):
    text = ("SEEDS=1 STEPS=20 FORMATS=one_shot,question,few_shot,cloze "
            "LOCALIZATIONS=fact_lookup,causal_tracing,attribution_patching,random_mlps,all_mlps,nonlocalized "
            "RELEARNING={'ranks':[8],'learning_rates':[5e-4],'steps':6,'checkpoints':[3,6]}")  # fmt: skip
    results = ROOT / "book" / "results" / "gemma-3-270m"
    (own,) = [one for one in BOOK if one.name == page]
    assert where(results, text, "full", own) == f"full/{page}.ipynb"
