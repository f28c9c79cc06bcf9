"""The committed pages: executed to the end, without errors, and without a trace of the machine they were made on."""

import json
import re
from pathlib import Path

import nbformat
import pytest
from small_book import PAGES, ROOT

from mechlib.report.parameters import read_pages
from mechlib.runs.study import Study

RESULTS = ROOT / "book" / "results"
FILES = {path.relative_to(RESULTS).as_posix(): path for path in sorted(RESULTS.glob("*/*/*.ipynb"))}
MACHINE = sorted({str(ROOT), str(Path.home()), "/home/", "/root/", "/Users/", "/tmp/", "/work/", "/var/folders/"})
TOKENS = re.compile(
    r"\b(hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9-]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{20,}|AKIA[0-9A-Z]{16}|glpat-[\w-]{20})\b"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----|Bearer [\w.-]{20,}"
)


@pytest.fixture(params=FILES)
def page(request):
    return json.loads(FILES[request.param].read_text(encoding="utf-8"))


def code(page):
    return [cell for cell in page["cells"] if cell["cell_type"] == "code"]


def test_the_book_ships_executed_pages():
    assert {name for name in FILES if name.startswith("gemma-3-270m/")}


@pytest.mark.parametrize("folder", sorted({name.rsplit("/", 1)[0] for name in FILES}))
def test_a_model_and_profile_has_all_pages(folder):
    profile = folder.rpartition("/")[2].partition("-")[0]
    sources = {page.name for page in read_pages(ROOT / "book") if profile in page.profiles}
    fronts = {page.name for page in read_pages(ROOT / "book") if page.front}
    assert sources >= set(PAGES)
    found = {Path(name).stem for name in FILES if name.startswith(f"{folder}/")}
    # A fuller profile takes hours: its pages are committed as they come. Of a model that only studies were run of, there is the front page.
    assert found in (sources, fronts) if folder.endswith("/quick") else found <= sources
    assert found == sources if folder == f"{Study.model}/quick" else True


def test_no_two_pages_of_the_book_have_one_title():
    """A reader of a tab, a search or a sidebar would not know which is which."""
    first = re.compile(r"^# (.+)$", re.MULTILINE)
    prose = {name: "\n".join("".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
                             if cell["cell_type"] == "markdown") for name, path in FILES.items()}  # fmt: skip
    titles = [first.findall(text)[0] for text in prose.values()]
    assert sorted({title for title in titles if titles.count(title) > 1}) == []


def test_every_cell_was_executed_in_order_without_an_error(page):
    cells = [cell for cell in code(page) if "".join(cell["source"]).strip()]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert [output for cell in cells for output in cell["outputs"] if output["output_type"] == "error"] == []
    assert [output["text"] for cell in cells for output in cell["outputs"] if output.get("name") == "stderr"] == []
    assert any(output for cell in cells for output in cell["outputs"])


def test_a_page_is_a_valid_notebook_in_its_normal_form(page):
    nbformat.validate(nbformat.from_dict(page))
    assert {key for cell in page["cells"] for key in cell["metadata"]} <= {"tags"}
    assert "papermill" not in page["metadata"]


def test_a_page_has_the_mark_of_what_it_was_made_from(page):
    about = page["metadata"]["mechlib"]
    assert re.fullmatch("[0-9a-f]{16}", about["fingerprint"])
    assert about["parameters"] and (about["needs"] or about["reads"])


def test_a_page_names_no_path_of_the_machine_and_no_token(page):
    text = json.dumps(page)
    assert [place for place in MACHINE if place in text] == []
    assert TOKENS.search(text) is None


def test_the_look_for_tokens_finds_some():
    assert all(TOKENS.search(text) for text in ("x hf_" + "a1" * 15, "ghp_" + "Z" * 36, "-----BEGIN RSA PRIVATE KEY-----"))


@pytest.mark.parametrize("name", FILES)
def test_a_page_was_executed_for_the_model_and_profile_of_its_folder(name):
    model, profile, _ = name.split("/")
    cells = ["".join(cell["source"]) for cell in code(json.loads(FILES[name].read_text())) if "tags" in cell["metadata"]]
    values = {}
    for cell in cells[:2]:
        values |= dict(re.findall(r'^(MODEL|PROFILE) = "(.*?)"', cell, re.MULTILINE))
    assert Study(model=values["MODEL"], profile=values["PROFILE"]).model_spec.name == model
    assert profile == values["PROFILE"] or profile.startswith(f"{values['PROFILE']}-")


@pytest.mark.parametrize("name", FILES)
def test_no_committed_page_ends_early(name):
    """The embedded model allows every page: one that says "not possible here" has met a fault of ours."""
    assert "impossible" not in json.loads(FILES[name].read_text())["metadata"]["mechlib"]


def test_no_table_prints_a_number_with_all_its_digits(page):
    cells = [text for cell in code(page) for output in cell["outputs"] for text in re.findall(r"<td[^>]*>([^<]*)</td>", _html(output))]
    # Zeros after the point of a small number are no digits of it.
    assert [cell for cell in cells if re.fullmatch(r"-?(?:[1-9]\d*\.\d{5,}|0\.0*[1-9]\d{4,})", cell.strip())] == []


def _html(output):
    return "".join(output.get("data", {}).get("text/html", ""))
