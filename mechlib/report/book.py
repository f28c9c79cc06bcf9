"""Build the book from executed pages with Jupyter Book, whatever models and profiles have results."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from mechlib.report.notebooks import PageError
from mechlib.runs.locks import locked
from mechlib.runs.profiles import PROFILES


def results_folder(root: Path, model: str, profile: str = "") -> Path:
    """Where the executed pages of a model are, in a folder for each profile and for each change of parameters."""
    return root / "book" / "results" / model / profile


def table_of_contents(root: Path) -> dict[str, Any]:
    """The committed ``_toc.yml`` with a part for every other folder of results that exists."""
    toc: dict[str, Any] = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    listed = {chapter.get("glob") for part in toc["parts"] for chapter in part["chapters"]}
    found = sorted({path.parent.relative_to(root).as_posix() for path in (root / "book" / "results").glob("*/*/*.ipynb")})
    parts = [part for part in toc["parts"] if any(list(root.glob(c["glob"] + ".ipynb")) if "glob" in c else True for c in part["chapters"])]
    extra = [
        {"caption": _caption(Path(folder)), "chapters": [{"glob": f"{folder}/*"}]}
        for folder in found
        if f"{folder}/*" not in listed
    ]
    return {**toc, "parts": [*parts[:-1], *extra, *parts[-1:]]}


def _caption(folder: Path) -> str:
    model, name = folder.parent.name, folder.name
    return f"{model}, {name} profile" if name in PROFILES else f"{model}, {name}"


def build(root: Path, strict: bool = True) -> Path:
    """Render the book into ``_build/html``; warnings are errors. Raises :class:`PageError` with the first of them."""
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
    return out / "html" / "index.html"
