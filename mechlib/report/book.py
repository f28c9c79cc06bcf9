"""Build the book from executed pages with Jupyter Book, whatever models and profiles have results."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from mechlib.report.book_contents import table_of_contents
from mechlib.report.looks import ICON
from mechlib.report.notebooks import PageError
from mechlib.report.stills import add_stills
from mechlib.runs.locks import locked
from mechlib.runs.progress import Say


def build(root: Path, strict: bool = True, say: Say | None = None) -> Path:
    """Render the book into ``_build/html``; warnings are errors. Raises :class:`PageError` with the first of them.

    Where Chromium is on the path, figures have still pictures for paper and for browsers without scripts; else ``say`` tells so.
    """
    out = root / "_build"
    out.mkdir(exist_ok=True)
    toc = out / "toc.yml"
    toc.write_text(yaml.safe_dump(table_of_contents(root), sort_keys=False), encoding="utf-8")
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(root), "--toc", str(toc), "--quiet", "--all"]
    command += ["-W", "-n", "--keep-going"] if strict else []
    with locked(out / "book.lock"):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = [line for line in (done.stdout + done.stderr).splitlines() if "WARNING" in line or "ERROR" in line]
            (out / "build.log").write_text(done.stdout + done.stderr, encoding="utf-8")
            raise PageError(f"the book does not build: {lines[0] if lines else 'see the log'} (all of it: {out / 'build.log'})")
        _with_icon(out / "html" / "index.html")
        without = add_stills(out / "html", out / "stills")
    if without and say:
        say(without)
    return out / "html" / "index.html"


def _with_icon(first: Path) -> None:
    """Jupyter Book's own first page only leads to ours: without an icon a browser asks the server for one that is not there."""
    text = first.read_text(encoding="utf-8")
    if 'rel="icon"' not in text:
        first.write_text(f'<link rel="icon" href="_static/{ICON.name}">\n{text}', encoding="utf-8")
