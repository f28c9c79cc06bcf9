"""A page that fails: the executed page of before stays, the partial one is kept aside, and the reason is one line."""

import errno
import json

import papermill
import pytest
from jupyter_client.kernelspec import NoSuchKernel
from small_book import one_page, tree

from mechlib.report import execute
from mechlib.report.notebooks import PageError

GOOD = "# %%\nprint('one')\n\n# %%\n'two'\n"
BAD = "# %%\nprint('started')\n\n# %%\n{}\n\n# %%\nprint('after')\n"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Executes a book of one page with these cells; gives the executed pages."""
    monkeypatch.setenv("MECHLIB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(execute, "build", lambda root, say: root)

    def run(cells, parameters=""):
        execute.execute(one_page(tmp_path, cells), {}, parameters, lambda _: None)
        return tree(tmp_path / "book" / "results")

    return run


def sources(path):
    return [("".join(cell["source"]), cell["outputs"]) for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def test_the_executed_page_of_before_stays_and_the_partial_one_lies_aside(run, tmp_path):
    before = run(GOOD)
    assert list(before) == ["gemma-3-270m/quick/01_page.ipynb"]
    with pytest.raises(PageError) as caught:
        run(BAD.format("raise ValueError('on two lines\\nno such luck')"))
    partial = tmp_path / "_build" / "failed" / "gemma-3-270m" / "quick" / "01_page.ipynb"
    assert tree(tmp_path / "book" / "results") == before
    cells = {source: outputs for source, outputs in sources(partial)}
    assert cells["print('started')"][0]["text"] in ("started\n", ["started\n"])
    assert cells["print('after')"] == []
    assert "\n" not in str(caught.value)
    assert [word for word in ("01_page", "no such luck", str(partial)) if word not in str(caught.value)] == []


@pytest.mark.parametrize(("cell", "words"), [
    ("assert 1 == 2", ["AssertionError"]),
    ("{}['one_shot']", ["KeyError", "one_shot"]),
    ("int('x' * 3)", ["invalid literal for int() with base 10: 'xxx'"]),
])  # fmt: skip
def test_the_line_names_the_error(run, cell, words):
    with pytest.raises(PageError) as caught:
        run(BAD.format(cell))
    assert "died" not in str(caught.value)
    assert [word for word in words if word not in str(caught.value)] == []


def test_a_kernel_that_is_killed_is_said(run, tmp_path):
    with pytest.raises(PageError) as caught:
        run(BAD.format("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))
    assert "kernel died" in str(caught.value)
    assert tree(tmp_path / "book" / "results") == {}


@pytest.mark.parametrize(("error", "words"), [
    (RuntimeError("Kernel didn't respond in 300 seconds"), "did not answer within 300 s"),
    (RuntimeError("Kernel died before replying to kernel_info"), "died before it answered"),
    (RuntimeError(""), "did not start"),
    (NoSuchKernel("python3"), "install ipykernel"),
    (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
])  # fmt: skip
def test_a_kernel_that_does_not_start_is_one_line(run, tmp_path, monkeypatch, error, words):
    def start(*_, **__):
        raise error

    monkeypatch.setattr(papermill, "execute_notebook", start)
    with pytest.raises(PageError) as caught:
        run(GOOD)
    assert str(caught.value).startswith("01_page: ") and words in str(caught.value) and "\n" not in str(caught.value)
    assert tree(tmp_path / "book" / "results") == {}


def test_a_page_that_cannot_be_put_in_its_place_is_one_line(run, tmp_path):
    """A disk that fills up between the check and the last byte."""
    before = run(GOOD)
    (tmp_path / "book" / "results" / "gemma-3-270m" / "quick" / "01_page.partial").mkdir()
    with pytest.raises(PageError) as caught:
        run(GOOD.replace("two", "three"))
    assert "\n" not in str(caught.value)
    assert tree(tmp_path / "book" / "results") == before


def test_a_page_without_outputs_and_parameters_given_runs(run):
    text = run(GOOD, "PROFILE=full")["gemma-3-270m/full/01_page.ipynb"].decode()
    assert 'PROFILE = \\"full\\"' in text
    assert "one\\n" in text
