"""``make execute``, end to end on a tiny model: what is computed, executed, kept and said."""

import json
import shutil

import pytest
from small_book import PAGES, SmallBook, tree

from mechlib.checks import ParameterError
from mechlib.models import ModelError
from mechlib.report.notebooks import PageError


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A book that was executed and rendered once; ``first`` is what was said."""
    book = SmallBook.at(tmp_path_factory.mktemp("small"))
    book.first = list(book.execute(render=True))
    return book


@pytest.fixture(scope="module")
def notebooks(small):
    return {name: json.loads((small.results / f"{name}.ipynb").read_text()) for name in PAGES}


@pytest.fixture
def fresh(small, tmp_path):
    """The same book before its first execution."""
    (tmp_path / "root").mkdir()
    shutil.copytree(small.root / "book", tmp_path / "root" / "book", ignore=shutil.ignore_patterns("results"))
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(small.root / name, tmp_path / "root" / name)
    return SmallBook(tmp_path / "root", tmp_path / "runs", small.model, small.facts)


def code(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_every_page_is_executed_without_an_error(notebooks):
    for name, notebook in notebooks.items():
        cells = code(notebook)
        assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1)), name
        assert [output for cell in cells for output in cell["outputs"] if output["output_type"] == "error"] == []
        assert sum("text/html" in output.get("data", {}) for cell in cells for output in cell["outputs"]) >= 4


def test_a_page_is_executed_with_the_values_that_were_given(notebooks, small):
    for name, notebook in notebooks.items():
        injected = [cell["source"] for cell in code(notebook) if "injected-parameters" in cell["metadata"].get("tags", [])]
        assert len(injected) == 1, name
        assert f'MODEL = "{small.model}"' in "".join(injected[0])
        assert "FORGET_SET_SIZE = 4" in "".join(injected[0])
        assert "STEPS = 2" in "".join(injected[0]) or name < "05_editing"


def test_a_page_carries_what_it_was_made_from(notebooks):
    marks = [notebook["metadata"]["mechlib"]["fingerprint"] for notebook in notebooks.values()]
    assert len(set(marks)) == len(PAGES)
    assert all(len(mark) == 16 for mark in marks)
    for name, notebook in notebooks.items():
        parameters = notebook["metadata"]["mechlib"]["parameters"]
        assert parameters["FORGET_SET_SIZE"] == 4, name
        assert ("STEPS" in parameters) == (parameters.get("STEPS") == 2)


def test_progress_is_one_line_a_run_and_two_a_page(small):
    said = "\n".join(small.first)
    for number, name in enumerate(PAGES, start=1):
        assert said.count(f"page {number}/4  {name}: ") == 2
    assert sum("  run " in line for line in small.first) == len(small.stored())
    assert said.count("edit: Fact lookup, forget set 0, seed 0") == 1


def test_the_store_holds_the_planned_runs_and_nothing_else(small):
    stages = [name.split("/")[0] for name in small.stored()]
    assert {stage: stages.count(stage) for stage in stages} == {
        "known": 5, "texts": 2, "evidence": 4, "localize": 3, "edit": 3, "answers": 17, "attack": 4, "damage": 3,
    }  # fmt: skip
    assert {path.parent.relative_to(small.runs).as_posix() for path in small.runs.rglob("*") if path.is_file()} == set(small.stored())


def test_the_book_is_rendered_with_all_pages_and_no_network(small):
    html = small.root / "_build" / "html"
    index = (html / "book" / "reading.html").read_text()
    assert (html / "_static" / "plotly.min.js").stat().st_size > 10**6
    for name in PAGES:
        page = (html / "book" / "results" / small.name / small.results.name / f"{name}.html").read_text()
        assert f"results/{small.name}/{small.results.name}/{name}.html" in index
        assert "cdn.plot.ly" not in page
        assert ("_static/plotly.min.js" in page) == ("plotly-graph-div" in page)
    assert "plotly-graph-div" in page


def test_nothing_outside_results_and_build_is_written(small):
    kept = {name: text for name, text in tree(small.root).items() if not name.startswith(("_build/", "book/results/"))}
    assert all((small.root / name).exists() for name in ("book/01_facts.py", "_toc.yml"))
    assert [name for name in kept if name.endswith((".ipynb", ".partial")) or "checkpoint" in name] == []
    assert sorted(path.name for path in small.results.iterdir()) == [f"{name}.ipynb" for name in PAGES]


def test_a_second_call_computes_and_executes_nothing(small):
    pages, runs = tree(small.results), small.stored()
    said = small.execute(execute_page=lambda *_: pytest.fail("a page was executed"))
    assert said[0].startswith("not as usual: FACTS=")
    assert said[1:5] == [f"page {number}/4  {name}: up to date" for number, name in enumerate(PAGES, start=1)]
    assert tree(small.results) == pages
    assert small.stored() == runs


def test_a_page_whose_runs_are_there_does_not_wait_for_another(fresh, small):
    shutil.copytree(small.runs, fresh.runs)
    shutil.rmtree(fresh.runs / "evidence")
    executed = []
    fresh.execute(execute_page=lambda job: executed.append(job.page.name))
    assert executed == ["01_facts", "05_editing", "06_prompting", "02_localization"]


def test_a_page_that_is_executed_twice_is_the_same_to_the_byte(small):
    page = small.results / "01_facts.ipynb"
    before = page.read_text()
    page.unlink()
    said = small.execute()
    assert [line for line in said if "to compute" in line] == ["page 1/4  01_facts: 0 runs to compute"]
    changed = [(one, other) for one, other in zip(before.splitlines(), page.read_text().splitlines(), strict=False) if one != other]
    assert changed == []
    assert page.read_text() == before


def test_another_learning_rate_concerns_two_pages_and_the_edits(small):
    runs, pages = small.stored(), tree(small.results)
    executed = {}

    def record(job):
        executed[job.page.name] = job.values["LEARNING_RATE"]

    said = small.execute("LEARNING_RATE=5e-5", execute_page=record)
    new = [name.split("/")[0] for name in small.stored() if name not in runs]
    assert executed == {"05_editing": 5e-5, "06_prompting": 5e-5}
    pages_said = [line for line in said if line.startswith("page")]
    assert pages_said[:2] == ["page 1/4  01_facts: up to date", "page 2/4  02_localization: up to date"]
    assert {stage: new.count(stage) for stage in new} == {"edit": 3, "answers": 12, "attack": 3, "damage": 3}
    assert {name: time for name, time in small.stored().items() if name in runs} == runs
    assert tree(small.results) == pages


def test_fewer_formats_compute_nothing(small):
    runs = small.stored()
    executed = []
    small.execute("FORMATS=['one_shot']", execute_page=lambda job: executed.append(job.page.name))
    assert executed == ["01_facts", "06_prompting"]
    assert small.stored() == runs


@pytest.mark.parametrize(("more", "model", "error"), [
    ("", "no-such-model", ModelError),
    ("", "/no/such/model.gguf", ModelError),
    ("LERNING_RATE=1", "", ParameterError),
    ("STEPS=0", "", ParameterError),
    ("FORMATS=fewshot", "", ParameterError),
    ("PROFILE=quik", "", ParameterError),
])  # fmt: skip
def test_what_is_unknown_is_said_before_anything_is_computed_or_written(fresh, more, model, error):
    before = tree(fresh.root)
    with pytest.raises(error):
        fresh.execute(more, model, execute_page=lambda *_: pytest.fail("a page was executed"))
    assert fresh.said == []
    assert not fresh.runs.exists()
    assert tree(fresh.root) == before


def test_results_that_cannot_be_written_are_said_before_any_work_and_the_runs_are_kept(fresh, small):
    shutil.copytree(small.runs, fresh.runs)
    (fresh.root / "book" / "results").write_text("a file where the folder should be")
    before = fresh.stored()
    with pytest.raises(PageError) as caught:
        fresh.execute("SEED=1")
    assert str(fresh.results.parent) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert fresh.said == []
    assert fresh.stored() == before
