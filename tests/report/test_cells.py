"""Pages cell by cell, in this process and on a tiny model: figures that show something, and every number that the prose names."""

import re
from dataclasses import replace
from functools import partial

import plotly.graph_objects as go
import pytest
from small_book import PAGES, ROOT, SMALL, save_facts, save_model

from mechlib.report import agreement
from mechlib.report import page as module
from mechlib.report.parameters import page_values, parse, read_pages
from mechlib.runs.profiles import PROFILES

BOOK = {page.name: page for page in read_pages(ROOT / "book")}
# On a random model few MLPs raise the logit difference, and a quick study sees few facts.
MORE = dict.fromkeys(("04_world_facts", "09_world_editing"), "LOOKUP_RULE=released")
# Pages about world facts that can be asked about athletes, too.
MORE["10_weight_masking"] = MORE["19_depth_or_lookup"] = "TASK=sports-athlete-editing"
MORE["25_next_door"] = "TASK=sports-athlete-editing LOOKUP_RULE=released"
MORE["26_published_attack"] = "TASK=sports-athlete-editing"
MORE["24_equal_norm"] = "TASK=sports-athlete-editing LOCALIZATIONS=fact_lookup,random_mlps,fact_lookup@random_mlps"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, facts and the runs that all tests share."""
    folder = tmp_path_factory.mktemp("cells")
    save_model(folder / "tiny")
    save_facts(folder / "facts.csv")
    return folder


@pytest.fixture
def run(folder, monkeypatch):
    """Runs the code cells of a page with these parameters; gives the figures that it showed and the numbers that it gave."""
    monkeypatch.setenv("MECHLIB_RUNS", str(folder / "runs"))
    # Intervals over few resamples: how wide they are is not what these tests are about.
    monkeypatch.setattr(agreement, "rank_correlation", partial(agreement.rank_correlation, resamples=9))
    shown, numbers = [], {}
    monkeypatch.setattr(module, "display", lambda bundle, raw: shown.append(go.Figure(bundle["application/vnd.plotly.v1+json"])))
    monkeypatch.setattr(module, "glue", lambda name, value, display: numbers.update({name: value}))

    def run(name, more=""):
        pages = list(BOOK.values())
        words = f"MODEL={folder / 'tiny'} FACTS={folder / 'facts.csv'} {SMALL} RANDOM_DRAWS=9 {MORE.get(name, '')} {more}"
        values, space = page_values(pages, parse(words, pages))[name], {}
        for cell in BOOK[name].notebook.cells:
            if cell.cell_type == "code":
                exec(compile(cell.source, name, "exec"), space)
                space.update(values if "parameters" in cell.metadata.get("tags", ()) else {})
        return shown, numbers

    return run


def named(name):
    """The names that the prose of a page wants a number for."""
    prose = "\n".join(cell.source for cell in BOOK[name].notebook.cells if cell.cell_type == "markdown")
    return set(re.findall(r"\{glue:text\}`(\w+)", prose))


@pytest.mark.parametrize("name", [name for name in BOOK if name not in PAGES])
def test_a_page_shows_figures_and_gives_all_numbers_of_its_prose(run, name, monkeypatch):
    monkeypatch.setitem(PROFILES, "quick", replace(PROFILES["quick"], compared=("probe", "paths")))
    figures, numbers = run(name)
    code = [cell.source for cell in BOOK[name].notebook.cells if cell.cell_type == "code"]
    assert len(figures) == sum(len(re.findall(r"\.(?:figure|verdict)\(", source)) for source in code)
    # Nothing was run as the studies of the book ask for it, and the figure of the front page says so.
    assert all(figure.layout.annotations if name == "00_finding" else figure.data for figure in figures)
    assert named(name) - set(numbers) == set()
    assert [key for key, value in numbers.items() if isinstance(value, float) and value != value] == []


@pytest.mark.parametrize("name", [name for name, page in BOOK.items() if "LOCALIZATIONS" in page.parameters])
def test_a_page_can_do_without_fact_lookup_and_tracing(run, name):
    """What ``make execute PARAMS=LOCALIZATIONS=random_mlps`` asks of all pages."""
    _, numbers = run(name, "LOCALIZATIONS=random_mlps")
    assert named(name) - set(numbers) == set()


@pytest.mark.parametrize("name", ["02_localization", "05_editing", "06_prompting"])
def test_a_localization_by_hand_joins_the_others(run, folder, name):
    (folder / "mine.json").write_text('{"components": ["L1.mlp", "L2.head3"]}')
    figures, numbers = run(name, f"LOCALIZATION={folder / 'mine.json'} LOCALIZATIONS=fact_lookup,causal_tracing_mlps")
    assert sum("Given by" in figure.to_json() for figure in figures) >= 1
    assert named(name) - set(numbers) == set()
