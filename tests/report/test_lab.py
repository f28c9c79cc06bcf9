"""``make lab``: notebooks that show their numbers, in a folder of their own; whatever is saved there changes nothing of the book."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import nbclient
import nbformat
import pytest
from small_book import ROOT, copy_book, one_page, save_facts, save_model, tree

from mechlib.checks import ParameterError
from mechlib.report.lab import copy_pages, lab
from mechlib.report.notebooks import PageError
from mechlib.report.prose import UNKNOWN, rendered
from mechlib.runs.study import Study

PAGE = '''
# %% [markdown]
# # A title
#
# Before it is known: {glue:text}`share:.0%` of {glue:text}`name` {cite:p}`guo2025mechanistic`.
#
# No number here.

# %%
from myst_nb import glue

glue("share", 0.257, display=False)

# %%
glue("name", "all <b>facts</b>", display=False)

# %% [markdown]
# After it: {glue:text}`name`.
'''


def quiet(_line):
    pass


def text_of(cell):
    return "".join("".join(output.get("data", {}).get("text/markdown", "")) for output in cell["outputs"])


def executed(path):
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}, timeout=300).execute()
    return notebook


@pytest.fixture
def root(tmp_path):
    shutil.copytree(ROOT / "book", tmp_path / "book", ignore=lambda folder, names: {name for name in names if name != "references.bib"})
    return one_page(tmp_path, PAGE)


def test_a_number_stands_in_the_prose_before_and_after_the_cell_that_gives_it(root):
    path = copy_pages(root, quiet) / "01_page.ipynb"
    before = nbformat.read(path, as_version=4)
    prose = [cell for cell in before.cells if cell.source.startswith("%%prose")]
    assert [text_of(cell).count(UNKNOWN) for cell in prose] == [2, 1]
    after = [text_of(cell) for cell in executed(path).cells if cell.source.startswith("%%prose")]
    assert after[0].startswith("Before it is known: 26% of all <b>facts</b> (Guo et al., 2025).")
    assert after[1].startswith("After it: all <b>facts</b>.")


def test_headings_and_prose_without_numbers_stay_markdown(root):
    cells = nbformat.read(copy_pages(root, quiet) / "01_page.ipynb", as_version=4).cells
    assert [cell.source for cell in cells if cell.cell_type == "markdown"] == ["# A title", "No number here."]
    assert not any("{glue" in cell.source or "{cite" in cell.source for cell in cells if cell.cell_type == "markdown")


@pytest.mark.parametrize(("text", "shown"), [
    ("a 95 % interval", "a 95\xa0% interval"),
    ("{glue:text}`n`", "3"), ("{glue:text}`n:.1f`", "3.0"), ("{glue:text}`word:.1f`", "two"), ("{glue:text}`other`", UNKNOWN),
    ("{math}`x^2`", "$x^2$"), ("{ref}`there <fig-1>`", "there"), ("{cite:t}`guo2025mechanistic`", "Guo et al. (2025)"),
    ("{cite:p}`guo2025mechanistic, deeb2024unlearning`", "(Guo et al., 2025; Deeb and Roger, 2024)"), ("{cite}`nobody`", "(nobody)"),
    ("```{math}\n:label: one\nx\n\ny\n```", "$$\nx\n\ny\n$$"), ("`{braces}` alone", "`{braces}` alone"),
])  # fmt: skip
def test_what_a_role_becomes(text, shown):
    assert rendered(text, {"n": 3, "word": "two"}, ROOT / "book" / "references.bib") == shown


def test_a_changed_notebook_stays_and_an_unchanged_one_follows_its_page(root):
    said = []
    path = copy_pages(root, said.append) / "01_page.ipynb"
    source = root / "book" / "01_page.py"
    source.write_text(source.read_text().replace("A title", "Another title"))
    copy_pages(root, said.append)
    assert "Another title" in path.read_text() and said == []
    path.write_text(path.read_text().replace("Another title", "Mine"))
    copy_pages(root, said.append)
    assert "Mine" in path.read_text() and said == []
    source.write_text(source.read_text().replace("Another title", "A third title"))
    copy_pages(root, said.append)
    assert "Mine" in path.read_text()
    assert len(said) == 1 and said[0].startswith("lab/01_page.ipynb was changed")


def test_all_pages_become_notebooks_that_are_valid_and_paired_with_nothing(tmp_path):
    folder = copy_pages(copy_book(tmp_path), quiet)
    pages = sorted(folder.glob("*.ipynb"))
    assert [path.stem for path in pages] == sorted(path.stem for path in (tmp_path / "book").glob("[0-9]*.py"))
    for path in pages:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert set(notebook.metadata) == {"kernelspec"}
        assert not any("{glue" in text_of(cell) for cell in notebook.cells if cell.cell_type == "code")


def test_a_folder_that_cannot_be_written_and_a_bad_address_are_one_line(root, tmp_path):
    with pytest.raises(ParameterError, match="IP="):
        lab(root, quiet, ip="0.0.0.0 --evil")
    (root / "lab").write_text("a file")
    with pytest.raises(PageError, match="cannot be written"):
        copy_pages(root, quiet)


def test_a_cell_takes_lists_as_the_command_line_does():
    listed = Study(localizations="fact_lookup,random_mlps_3", formats="one_shot, question")
    assert listed == Study(localizations=["fact_lookup", "random_mlps_3"], formats=("one_shot", "question"))
    with pytest.raises(ParameterError, match="fewshot"):
        Study(formats="one_shot,fewshot")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The real command in a copy of the project: its address, its token and the copy; any port, no browser."""
    root = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "mechlib", root / "mechlib", ignore=shutil.ignore_patterns("__pycache__"))
    copy_book(root)
    places = {name: str(root / "jupyter" / name) for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")}
    environment = {**os.environ, **places, "PYTHONPATH": str(root), "MECHLIB_RUNS": str(root / "runs")}
    command = [sys.executable, "-W", "ignore", "-m", "mechlib", "lab", "--port", "0", "--no-browser"]
    with (root / "said").open("w") as said:
        process = subprocess.Popen(command, cwd=root, env=environment, stdout=said, stderr=said)
    try:
        end = time.monotonic() + 120
        while not (found := list((root / "jupyter" / "JUPYTER_RUNTIME_DIR").glob("jpserver-*.json"))):
            assert process.poll() is None and time.monotonic() < end, (root / "said").read_text()
            time.sleep(0.2)
        about = json.loads(found[0].read_text())
        while socket.socket().connect_ex(("127.0.0.1", about["port"])):
            assert process.poll() is None and time.monotonic() < end, (root / "said").read_text()
            time.sleep(0.2)
        yield about, root
    finally:
        process.terminate()
        process.wait(300)


def ask(server, path, **body):
    about, _ = server
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(f"{about['url']}api/{path}", data, {"Authorization": f"token {about['token']}"})
    request.method = "PUT" if body else "GET"
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def test_what_is_saved_in_the_lab_changes_nothing_that_is_tracked(server):
    _, root = server
    book, package = tree(root / "book"), tree(root / "mechlib")
    listed = ask(server, "contents/")["content"]
    assert {each["type"] for each in listed} == {"notebook"}
    page = ask(server, "contents/05_editing.ipynb?content=1")
    (cell,) = [cell for cell in page["content"]["cells"] if "parameters" in cell["metadata"].get("tags", ())]
    cell["source"] = cell["source"].replace("STEPS = None", "STEPS = 3")
    ask(server, "contents/05_editing.ipynb", type="notebook", content=page["content"])
    assert "STEPS = 3" in (root / "lab" / "05_editing.ipynb").read_text()
    assert tree(root / "book") == book
    assert {name: text for name, text in tree(root / "mechlib").items() if "__pycache__" not in name} == {
        name: text for name, text in package.items() if "__pycache__" not in name
    }
    left = [path for path in (root / "lab").iterdir() if path.is_file() and not path.name.startswith(".")]
    assert [path.suffix for path in left] == [".ipynb"] * len(listed)


def test_the_lab_says_where_it_is_and_little_else(server):
    _, root = server
    said = (root / "said").read_text()
    assert str(root / "lab") in said.splitlines()[0]
    assert f"http://localhost:{server[0]['port']}/lab?token=" in said or f"http://127.0.0.1:{server[0]['port']}/lab?token=" in said
    assert "Traceback" not in said and "[E" not in said


def test_a_page_runs_in_the_lab_tells_its_progress_and_asks_both_models(tmp_path, monkeypatch):
    """The page on editing, on a tiny model, with a list as the command line has it."""
    monkeypatch.setenv("MECHLIB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    copy_book(tmp_path)
    path = copy_pages(tmp_path, quiet) / "05_editing.ipynb"
    notebook = nbformat.read(path, as_version=4)
    given = {"MODEL": str(save_model(tmp_path / "tiny")), "FACTS": str(save_facts(tmp_path / "facts.csv")), "KNOWN_THRESHOLD": 0.0,
             "FORGET_SET_SIZE": 4, "FORGET_SETS": 1, "STEPS": 2, "LOCALIZATIONS": "fact_lookup,random_mlps"}  # fmt: skip
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    cell.source += "".join(f"\n{name} = {value!r}" for name, value in given.items())
    nbformat.write(notebook, path)
    done = executed(path)
    streams = "".join(output["text"] for cell in done.cells if cell.cell_type == "code" for output in cell.outputs if "text" in output)
    assert "run 1/" in streams and "edit: Fact lookup, forget set 0, seed 0" in streams
    assert not any(UNKNOWN in text_of(cell) for cell in done.cells if cell.cell_type == "code")
    asked = "".join(done.cells[-1].outputs[0]["data"]["text/html"])
    assert "unedited" in asked and "edited: Fact lookup" in asked and "next token" in asked
