"""``make lab``: a copy of the pages as notebooks that can be changed and run, and JupyterLab to do so. The book itself stays as it is."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import nbformat

from mechlib.checks import ParameterError
from mechlib.errors import shown
from mechlib.report.notebooks import check_writable
from mechlib.report.parameters import Page, read_pages
from mechlib.report.prose import needs_numbers, rendered
from mechlib.runs.spec import digest

Say = Callable[[str], None]
# What was copied, to tell a page that somebody changed from one that only became old.
_COPIED = ".copied.json"
_SETUP = "%load_ext mechlib.report.prose"
# Markdown in a code cell: the source is folded away, as the text is its output.
_FOLDED = {"jupyter": {"source_hidden": True}, "tags": ["prose"]}
_ASK = """# The same question to the model before and after an edit; localization="random_mlps" asks another one.
page.ask("Fact: LeBron James plays the sport of")"""
# Nothing is fetched and nobody is asked for news. A container's user is often root.
_OPTIONS = ("--ServerApp.log_level=WARN", "--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate")


def lab(root: Path, say: Say, port: int | None = None, ip: str = "", browser: bool = True) -> None:
    """Copy the pages into ``lab``, and become JupyterLab there. ``port``: ``None``: 8888, or the next that is free; 0: any."""
    if ip and not all(one.isalnum() or one in ".:-" for one in ip):
        raise ParameterError(f"IP={shown(ip)}: give an address to listen on, such as 0.0.0.0")
    folder = copy_pages(root, say)
    say(f"notebooks to change and to run are in {folder}; the book's own pages stay as they are")
    arguments = [*_OPTIONS, f"--ServerApp.root_dir={folder}"]
    arguments += [] if port is None else [f"--ServerApp.port={port}"]
    arguments += [f"--ServerApp.ip={ip}"] if ip else []
    arguments += [] if browser else ["--no-browser"]
    arguments += ["--allow-root"] if os.geteuid() == 0 else []
    os.execv(sys.executable, [sys.executable, "-W", "ignore", "-m", "jupyterlab", *arguments])


def copy_pages(root: Path, say: Say) -> Path:
    """Write each page that nobody changed in ``lab`` there anew; of a changed one whose page became another it is said that it stays."""
    folder = root / "lab"
    check_writable(folder)
    copied = _copied(folder / _COPIED)
    for page in read_pages(root / "book"):
        target, text = folder / f"{page.name}.ipynb", nbformat.writes(as_notebook(page, root / "book" / "references.bib"))
        before = copied.get(page.name, {})
        changed = target.is_file() and digest(target) != before.get("file")
        if changed and before.get("text") != digest(text):
            say(f"{target.relative_to(root)} was changed, and the page that it comes from, too: it stays; remove it to get the page anew")
        if not changed:
            target.write_text(text, encoding="utf-8")
            copied[page.name] = {"file": digest(target), "text": digest(text)}
    (folder / _COPIED).write_text(json.dumps(copied, indent=1), encoding="utf-8")
    return folder


def _copied(path: Path) -> dict[str, dict[str, str]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): dict(about) for name, about in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):  # none yet, or a damaged one: what is there counts as changed
        return {}


def as_notebook(page: Page, references: Path) -> Any:
    """A page as a notebook of its own: no pairing with its source, prose that shows its numbers, and a question to ask at the end."""
    title, *cells = page.notebook.cells
    found = [*_cells(title, references)]
    found[1:1] = [_code(_SETUP, _FOLDED)]
    found += [new for cell in cells for new in _cells(cell, references)]
    if "edit" in page.needs:
        found += [nbformat.v4.new_markdown_cell("## Ask it yourself"), _code(_ASK, {})]
    for number, cell in enumerate(found):
        cell["id"] = f"cell-{number}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=found, metadata={"kernelspec": kernel})


def _cells(cell: Any, references: Path) -> list[Any]:
    """A cell as it is, and Markdown in parts: its paragraphs with numbers, and those without, which stay Markdown."""
    if cell.cell_type != "markdown":
        return [_code(cell.source, {name: value for name, value in cell.metadata.items() if name == "tags"})]
    # What is fenced may hold empty lines and stays whole.
    parts = groupby([cell.source] if "```" in cell.source else cell.source.split("\n\n"), needs_numbers)
    return [_prose("\n\n".join(own), references) if numbers else nbformat.v4.new_markdown_cell(rendered("\n\n".join(own), {}, references))
            for numbers, own in parts]  # fmt: skip


def _prose(text: str, references: Path) -> Any:
    cell = _code(f"%%prose\n{text}", _FOLDED)
    shown_before = nbformat.v4.new_output("display_data", data={"text/markdown": rendered(text, {}, references)})
    cell["outputs"] = [shown_before]
    return cell


def _code(source: str, metadata: dict[str, Any]) -> Any:
    return nbformat.v4.new_code_cell(source, metadata=metadata)
