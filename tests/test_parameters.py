"""Parameters of pages: read from their cells, set from outside, and flowing from a page to the later ones."""

import shutil
from pathlib import Path

import pytest

import mechlib
from mechlib.report.parameters import parse, read_page, read_pages, resolve, same, study
from mechlib.runs.study import ParameterError, Study

BOOK = Path(mechlib.__file__).parents[1] / "book"
NAMES = [path.stem for path in sorted(BOOK.glob("[0-9][0-9]_*.py"))]
DEFAULTS = Study()


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
    assert NAMES[:4] == ["01_facts", "02_localization", "03_editing", "04_prompting"]


@pytest.mark.parametrize("name", NAMES)
def test_a_page_s_defaults_are_the_study_s(name):
    parameters = read_page(BOOK / f"{name}.py").parameters
    assert {"MODEL", "PROFILE"} <= set(parameters) <= set(Study.names())
    assert {key: value for key, value in parameters.items() if not same(value, getattr(DEFAULTS, key.lower()))} == {}


@pytest.mark.parametrize("name", NAMES)
def test_a_page_shows_runs_that_exist(name):
    page = read_page(BOOK / f"{name}.py")
    assert page.needs
    assert all(study(page.parameters).runs(need) for need in page.needs)


def test_every_parameter_of_a_study_can_be_set_on_some_page(pages):
    assert {name for page in pages for name in page.parameters} == set(Study.names())


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
    assert [name for name in Study.names() if name not in str(caught.value)] == []


def test_nothing_given_leaves_every_page_its_own(pages):
    assert resolve(pages, {}) == {page.name: dict(page.parameters) for page in pages}


def test_what_is_given_counts_for_all_pages_that_have_it(pages):
    values = resolve(pages, {"SEED": 7, "LEARNING_RATE": 5e-5, "FORMATS": ["cloze"]})
    for page in pages:
        changed = {name: value for name, value in values[page.name].items() if not same(value, page.parameters[name])}
        given = {"SEED": 7, "LEARNING_RATE": 5e-5, "FORMATS": ["cloze"]}
        assert changed == {name: value for name, value in given.items() if name in page.parameters}
        assert set(values[page.name]) == set(page.parameters)


@pytest.mark.parametrize(("before", "after", "name", "value"), [
    ("LEARNING_RATE = None", "LEARNING_RATE = 5e-5", "LEARNING_RATE", 5e-5),
    ("SEED = 0", "SEED = 3", "SEED", 3),
    ("STEPS = None", "STEPS = 7", "STEPS", 7),
])  # fmt: skip
def test_a_change_in_a_page_s_cell_flows_to_the_later_pages_only(edited, before, after, name, value):
    values = resolve(edited("03_editing", before, after), {})
    default = getattr(DEFAULTS, name.lower())
    found = {page: own[name] for page, own in values.items() if name in own}
    assert found == {page: value if page >= "03_editing" else default for page in found}
    assert {"03_editing", "04_prompting"} <= set(found)


def test_a_changed_list_flows_too(edited):
    before = 'FORMATS = ["one_shot", "question", "few_shot", "cloze", "multiple_choice"]'
    values = resolve(edited("01_facts", before, 'FORMATS = ["one_shot", "cloze"]'), {})
    assert values["04_prompting"]["FORMATS"] == values["01_facts"]["FORMATS"] == ["one_shot", "cloze"]


def test_a_page_may_differ_from_the_earlier_pages(edited):
    edited("01_facts", "SEED = 0", "SEED = 1")
    values = resolve(edited("03_editing", "SEED = 0", "SEED = 2"), {})
    assert [values[name]["SEED"] for name in NAMES[:4]] == [1, 1, 2, 2]


def test_what_is_given_beats_a_changed_cell(edited):
    values = resolve(edited("03_editing", "STEPS = None", "STEPS = 7"), {"STEPS": 9})
    assert {values[name]["STEPS"] for name in ("03_editing", "04_prompting")} == {9}


@pytest.mark.parametrize("cell", ["STEPS = 10 * 2", "STEPS = int('3')", "STEPS = SEED", "STEPS = [n for n in range(3)]"])
def test_a_parameter_cell_with_an_expression_is_one_line(edited, cell):
    with pytest.raises(ParameterError) as caught:
        edited("03_editing", "STEPS = None", cell)
    assert "03_editing" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cell", [
    "import os", "STEPS = 3; SEED = 4", "if True:\n    STEPS = 3", "STEPS += 2", "STEPS = (", "STEPS = SEED = 3", "STEPS, SEED = 3, 4",
    "STEPS = 3\nSTEPS = 4", "STEPS: int = 3", "del SEED", "FACTS = 'a#b.csv'  # a table", "FACTS = 'x = 3'", 'FACTS = "it\'s.csv"',
    'FACTS = "a;b"', 'FACTS = """a\nb"""', "SEED = -1", "FORMATS = ('cloze',)  # one", "FORMATS = [\n    'cloze',  # one\n]",
])  # fmt: skip
def test_no_parameter_cell_is_read_otherwise_than_python_reads_it(edited, cell):
    """A value that only the kernel sees would make the planned runs and the shown ones differ: better one line."""
    try:
        page = edited("03_editing", "STEPS = None  # None: as the profile says", cell)[2]
    except ParameterError as error:
        assert "03_editing" in str(error)
        assert "\n" not in str(error)
        return
    values = {}
    exec(next(found.source for found in page.notebook.cells if "parameters" in found.metadata.get("tags", ())), values)
    assert page.parameters == {name: value for name, value in values.items() if name.isupper()}


@pytest.mark.parametrize(("cell", "value"), [("SEED = 7", 7), ("SEED = 7  # a # comment", 7), ("SEED = -1", -1)])
def test_a_plain_value_is_no_error(edited, cell, value):
    assert edited("03_editing", "SEED = 0", cell)[2].parameters["SEED"] == value


@pytest.mark.parametrize("name", ["FORMATS", "LOCALIZATIONS"])
def test_one_word_for_a_list_is_a_list_on_every_page(pages, name):
    """Pages loop over these: a bare word would be looped over letter by letter."""
    word = getattr(DEFAULTS, name.lower())[0]
    values = resolve(pages, parse(f"{name}={word}", pages))
    assert {page: tuple(own[name]) for page, own in values.items() if name in own and tuple(own[name]) != (word,)} == {}


def test_a_study_takes_a_page_s_parameters(pages):
    values = resolve(pages, parse("LEARNING_RATE=5e-5 FORMATS=cloze,question STEPS=20", pages))
    first, third = study(values["01_facts"]), study(values["03_editing"])
    assert (first.formats, first.learning_rate) == (("cloze", "question"), None)
    assert (third.learning_rate, third.steps) == (5e-5, 20)
