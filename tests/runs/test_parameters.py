"""Parameters of pages: read from their cells, set from outside, and flowing from a page to the later ones."""

import re
import shutil
from dataclasses import fields, replace
from pathlib import Path

import pytest

import mechlib
from mechlib.checks import ParameterError
from mechlib.report.parameters import page_values, parse, read_page, read_pages, same, studies, study
from mechlib.runs.study import Study

BOOK = Path(mechlib.__file__).parents[1] / "book"
NAMES = [path.stem for path in sorted(BOOK.glob("[0-9][0-9]_*.py"))]
WORLD, EDITING, PROMPTING, TUNING, WHOLE = "04_world_facts", "05_editing", "06_prompting", "07_tuning", "08_whole_sports"
DEFAULTS = Study()
WRITTEN = {field.name.upper(): field.default for field in fields(Study)}
# What a page makes of its runs is no parameter of the runs.
OF_PAGES = {"RANDOM_DRAWS", "MATCHED"}


@pytest.fixture(scope="module")
def pages():
    return read_pages(BOOK)


@pytest.fixture
def edited(tmp_path):
    """The pages of a copy of the book, after replacing text in one of them."""
    folder = tmp_path / "book"
    shutil.copytree(BOOK, folder, ignore=shutil.ignore_patterns("results", "*.ipynb"))

    def replace(name, before, after):
        path = folder / f"{name}.py"
        assert path.read_text().count(before) == 1
        path.write_text(path.read_text().replace(before, after))
        return read_pages(folder)

    return replace


def test_the_book_s_pages_are_read_in_order(pages):
    assert [page.name for page in pages] == NAMES
    assert NAMES[:7] == ["00_finding", "01_facts", "02_localization", "03_comparison", WORLD, EDITING, PROMPTING]


@pytest.mark.parametrize("name", NAMES)
def test_a_page_s_defaults_are_the_study_s(name):
    page = read_page(BOOK / f"{name}.py")
    assert {"MODEL", "PROFILE"} <= set(page.parameters) <= set(Study.names()) | OF_PAGES
    shared = {key: value for key, value in page.parameters.items() if key not in {*page.own, *page.fixed, *OF_PAGES}}
    assert {key: value for key, value in shared.items() if not same(value, WRITTEN[key])} == {}


@pytest.mark.parametrize("name", NAMES)
def test_a_page_shows_runs_that_exist(name):
    page = read_page(BOOK / f"{name}.py")
    assert page.needs or page.reads
    assert all(own.runs(need) for own in studies(page, page.parameters) for need in page.needs)


def test_every_parameter_of_a_study_can_be_set_on_some_page(pages):
    assert {name for page in pages for name in page.parameters if name not in page.fixed} == set(Study.names()) | OF_PAGES


@pytest.mark.parametrize(("text", "values"), [
    ("", {}),
    ("LEARNING_RATE=5e-5", {"LEARNING_RATE": 5e-5}),
    ("LEARNING_RATE=5e-5 STEPS=20", {"LEARNING_RATE": 5e-5, "STEPS": 20}),
    ("  STEPS=20\n\tSEED=0 ", {"STEPS": 20, "SEED": 0}),
    ("STEPS=20 STEPS=30", {"STEPS": 30}),
    ("STEPS=None", {"STEPS": None}),
    ("PROFILE=full", {"PROFILE": "full"}),
    ("FORMATS=one_shot,question", {"FORMATS": ["one_shot", "question"]}),
    ("FORMATS=['one_shot','cloze']", {"FORMATS": ["one_shot", "cloze"]}),
    ("KNOWN_THRESHOLD=0.0", {"KNOWN_THRESHOLD": 0.0}),
    ("SEED=-1", {"SEED": -1}),
    ("FACTS=/a/table.csv", {"FACTS": "/a/table.csv"}),
    ("FACTS=/a/b=c.csv", {"FACTS": "/a/b=c.csv"}),
    ("MODEL=llama-3-8b", {"MODEL": "llama-3-8b"}),
    ("SEEDS=5 STOP_AT=1", {"SEEDS": 5, "STOP_AT": 1}),
    ("RELEARNING={'steps':7,'ranks':[4]}", {"RELEARNING": {"steps": 7, "ranks": [4]}}),
])  # fmt: skip
def test_parameters_are_parsed(pages, text, values):
    found = parse(text, pages)
    assert found == values
    assert {name: type(value) for name, value in found.items()} == {name: type(value) for name, value in values.items()}


@pytest.mark.parametrize("text", ["LERNING_RATE=5e-5", "learning_rate=5e-5", "STEPS=20 LR=1", "STEPS", "=3", "STEPS = 20"])
def test_an_unknown_parameter_is_one_line_with_the_known_ones(pages, text):
    with pytest.raises(ParameterError) as caught:
        parse(text, pages)
    assert "\n" not in str(caught.value)
    assert [name for page in pages for name in {*page.parameters} - {*page.fixed} if name not in str(caught.value)] == []


def test_nothing_given_leaves_every_page_its_own(pages):
    assert page_values(pages, {}) == {page.name: dict(page.parameters) for page in pages}


def test_what_is_given_counts_for_all_pages_that_have_it(pages):
    given = {"SEED": 7, "LEARNING_RATE": 5e-5, "FORMATS": ["cloze"], "RANDOM_DRAWS": 5}
    values = page_values(pages, given)
    for page in pages:
        changed = {name: value for name, value in values[page.name].items() if not same(value, page.parameters[name])}
        assert changed == {name: value for name, value in given.items() if name in page.parameters and name not in page.fixed}
        assert set(values[page.name]) == set(page.parameters)


@pytest.mark.parametrize(("before", "after", "name", "value"), [
    ("LEARNING_RATE = None", "LEARNING_RATE = 5e-5", "LEARNING_RATE", 5e-5),
    ("SEED = 0", "SEED = 3", "SEED", 3),
    ("STEPS = None", "STEPS = 7", "STEPS", 7),
    ("SEEDS = None", "SEEDS = 2", "SEEDS", 2),
    ("STOP_AT = None", "STOP_AT = 1", "STOP_AT", 1),
    ("LOCALIZATIONS = None", 'LOCALIZATIONS = ["all_mlps"]', "LOCALIZATIONS", ["all_mlps"]),
])  # fmt: skip
def test_a_change_in_a_page_s_cell_flows_to_the_later_pages_only(edited, before, after, name, value):
    pages = edited(EDITING, before, after)
    values = page_values(pages, {})
    found = {page.name: values[page.name][name] for page in pages if name in page.parameters and name not in (*page.own, *page.fixed)}
    assert found == {page: value if page >= EDITING else WRITTEN[name] for page in found}
    assert {EDITING, PROMPTING} <= set(found)


def test_a_changed_list_flows_too(edited):
    values = page_values(edited("01_facts", "\nFORMATS = None", '\nFORMATS = ["one_shot", "cloze"]'), {})
    assert values[PROMPTING]["FORMATS"] == values["01_facts"]["FORMATS"] == ["one_shot", "cloze"]


def test_a_page_may_differ_from_the_earlier_pages(edited):
    edited("01_facts", "SEED = 0", "SEED = 1")
    values = page_values(edited(EDITING, "SEED = 0", "SEED = 2"), {})
    assert [values[name]["SEED"] for name in NAMES[1:7]] == [1, 1, 1, 1, 2, 2]


def test_what_is_given_beats_a_changed_cell(edited):
    values = page_values(edited(EDITING, "STEPS = None", "STEPS = 7"), {"STEPS": 9})
    assert {values[name]["STEPS"] for name in (EDITING, PROMPTING)} == {9}


def test_a_fixed_parameter_does_not_flow_on(pages):
    """The page about world facts is about another task than the pages after it."""
    values = page_values(pages, {})
    assert values[WORLD]["TASK"] == "counterfact-editing" != DEFAULTS.task
    assert values[EDITING]["TASK"] == values[PROMPTING]["TASK"] == DEFAULTS.task


@pytest.mark.parametrize(("name", "value"), [("KNOWN_FORMAT", "statement"), ("EDIT_FORMAT", "few_shot")])
def test_a_change_of_a_fixed_parameter_stays_on_its_page(edited, name, value):
    values = page_values(edited(WORLD, f"\n{name} = None", f"\n{name} = {value!r}"), {})
    assert values[WORLD][name] == value
    assert [page for page, own in values.items() if page != WORLD and name in own and own[name] == value] == []


def test_a_fixed_parameter_does_not_come_from_outside(pages):
    world = next(page for page in pages if page.name == WORLD)
    values = page_values(pages, parse("FORMATS=question KNOWN_FORMAT=cloze EDIT_FORMAT=cloze TASK=sports-unlearning SEED=3", pages))
    assert {"TASK", "FORMATS", "KNOWN_FORMAT", "EDIT_FORMAT"} <= set(world.fixed)
    assert {name: values[WORLD][name] for name in world.fixed} == {name: world.parameters[name] for name in world.fixed}
    assert (values[WORLD]["SEED"], values[EDITING]["SEED"]) == (3, 3)
    assert (values[EDITING]["TASK"], values[EDITING]["EDIT_FORMAT"]) == ("sports-unlearning", "cloze")
    assert values[PROMPTING]["FORMATS"] == ["question"]


def test_a_fixed_parameter_of_the_only_page_that_has_it_is_unknown_outside(pages):
    fixing = [replace(page, fixed=(*page.fixed, "RANDOM_DRAWS")) for page in pages]
    assert parse("RANDOM_DRAWS=7", pages) == {"RANDOM_DRAWS": 7}
    with pytest.raises(ParameterError, match="unknown parameter 'RANDOM_DRAWS'") as caught:
        parse("RANDOM_DRAWS=7", fixing)
    assert str(caught.value).count("RANDOM_DRAWS") == 1


def test_an_own_parameter_neither_comes_from_earlier_pages_nor_flows_on_but_can_be_given(edited):
    edited(EDITING, "\nFORGET_SETS = None", "\nFORGET_SETS = 3")
    pages = edited(WHOLE, "\nFORGET_SETS = 1", "\nFORGET_SETS = 2")
    assert {page.name for page in pages if "FORGET_SETS" in page.own} >= {WHOLE}
    shared = [page.name for page in pages if page.name >= EDITING and "FORGET_SETS" in page.parameters and "FORGET_SETS" not in page.own]
    values = page_values(pages, {})
    assert values[WHOLE]["FORGET_SETS"] == 2
    assert len(shared) > 1
    assert {values[name]["FORGET_SETS"] for name in shared} == {3}
    assert {own["FORGET_SETS"] for own in page_values(pages, {"FORGET_SETS": 5}).values() if "FORGET_SETS" in own} == {5}


def test_a_page_of_several_tasks_has_a_study_of_each_and_other_pages_have_one(pages):
    values = page_values(pages, {"SEED": 4})
    found = {page.name: studies(page, values[page.name]) for page in pages}
    assert [own.task for own in found[WHOLE]] == ["full-sports-editing", "sports-unlearning"]
    assert found[EDITING] == (study(values[EDITING]),)
    assert {own.seed for page in pages if page.needs for own in found[page.name]} == {4}


@pytest.mark.parametrize("cell", ["STEPS = 10 * 2", "STEPS = int('3')", "STEPS = SEED", "STEPS = [n for n in range(3)]"])
def test_a_parameter_cell_with_an_expression_is_one_line(edited, cell):
    with pytest.raises(ParameterError) as caught:
        edited(EDITING, "STEPS = None", cell)
    assert EDITING in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cell", [
    "import os", "STEPS = 3; SEED = 4", "if True:\n    STEPS = 3", "STEPS += 2", "STEPS = (", "STEPS = SEED = 3", "STEPS, SEED = 3, 4",
    "STEPS = 3\nSTEPS = 4", "STEPS: int = 3", "del SEED", "FACTS = 'a#b.csv'  # a table", "FACTS = 'x = 3'", 'FACTS = "it\'s.csv"',
    "STEPS = {[1]: 2}",
    'FACTS = "a;b"', 'FACTS = """a\nb"""', "SEED = -1", "FORMATS = ('cloze',)  # one", "FORMATS = [\n    'cloze',  # one\n]",
])  # fmt: skip
def test_no_parameter_cell_is_read_otherwise_than_python_reads_it(edited, cell):
    """A value that only the kernel sees would make the planned runs and the shown ones differ: better one line."""
    try:
        page = edited(EDITING, "STEPS = None  # None: as the profile says", cell)[NAMES.index(EDITING)]
    except ParameterError as error:
        assert EDITING in str(error)
        assert "\n" not in str(error)
        return
    values = {}
    exec(next(found.source for found in page.notebook.cells if "parameters" in found.metadata.get("tags", ())), values)
    assert page.parameters == {name: value for name, value in values.items() if name.isupper()}


@pytest.mark.parametrize(("cell", "value"), [("SEED = 7", 7), ("SEED = 7  # a # comment", 7), ("SEED = -1", -1)])
def test_a_plain_value_is_no_error(edited, cell, value):
    assert edited(EDITING, "SEED = 0", cell)[NAMES.index(EDITING)].parameters["SEED"] == value


@pytest.mark.parametrize("value", ["{[1]:2}", "-" * 100_000 + "1", "(" * 500])
def test_what_python_cannot_read_is_one_line(pages, value):
    values = page_values(pages, parse(f"RELEARNING={value}", pages))
    with pytest.raises(ParameterError, match="RELEARNING"):
        [studies(page, values[page.name]) for page in pages]


@pytest.mark.parametrize("name", ["FORMATS", "LOCALIZATIONS"])
def test_one_word_for_a_list_is_a_list_on_every_page(pages, name):
    """Pages loop over what the study made of these: a bare word would be looped over letter by letter."""
    word = getattr(DEFAULTS, name.lower())[0]
    values = page_values(pages, parse(f"{name}={word}", pages))
    having = [page for page in pages if name in page.parameters and name not in page.fixed]
    found = {page.name: getattr(own, name.lower()) for page in having for own in studies(page, values[page.name])}
    assert len(found) > 1
    assert set(found.values()) == {(word,)}
    assert [page.name for page in pages if re.search(rf"\bin {name}\b", page.path.read_text())] == []


def test_a_study_takes_a_page_s_parameters(pages):
    values = page_values(pages, parse("LEARNING_RATE=5e-5 FORMATS=cloze,question STEPS=20", pages))
    first, third = study(values["01_facts"]), study(values[EDITING])
    assert (first.formats, first.learning_rate) == (("cloze", "question"), None)
    assert (third.learning_rate, third.steps) == (5e-5, 20)


def test_the_settings_of_an_attack_can_be_given_and_reach_its_study(pages):
    values = page_values(pages, parse("RELEARNING={'steps':7} STOP_AT=1 SEEDS=2", pages))
    having = [page for page in pages if "RELEARNING" in page.parameters and "RELEARNING" not in page.fixed]
    assert having
    for own in (own for page in having for own in studies(page, values[page.name])):
        assert dict(own.relearning) == {**dict(DEFAULTS.relearning), "steps": 7}
        assert (own.size.stop_at, own.size.n_seeds) == (1, 2)
