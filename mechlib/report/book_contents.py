"""What the book contains and in which order: the pages of every model and profile that has results, laid out as ``_toc.yml`` says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from mechlib.report.book_studies import FILE, read_studies
from mechlib.report.titles import own_title
from mechlib.runs.profiles import PROFILES
from mechlib.runs.study import Study

# What stands in the place of the front page until there is one.
_READING = "book/reading"


def results_folder(root: Path, model: str, profile: str = "") -> Path:
    """Where the executed pages of a model are, in a folder for each profile and for each change of parameters."""
    return root / "book" / "results" / model / profile


def table_of_contents(root: Path) -> dict[str, Any]:
    """``_toc.yml`` with the executed pages that exist: its parts for the default model's folders, then for those of the others."""
    order: dict[str, Any] = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    parts = [(part["caption"], [chapter["file"] for chapter in part["chapters"]]) for part in order["parts"]]
    laid_out = [(caption, names) for caption, names in parts if not any("/" in name for name in names)]
    listed = {order["root"], *(name for _, names in laid_out for name in names)}
    front = _front(root, order["root"])
    found: list[dict[str, Any]] = []
    for folder in folders_of(root):
        there = {path.stem: path for path in sorted(folder.glob("*.ipynb"))}
        others = [name for name in there if name not in listed]
        fronts = [order["root"]] if folder / f"{order['root']}.ipynb" != front else []
        for number, (caption, names) in enumerate(laid_out):
            wanted = [*(fronts if number == 0 else []), *names, *(others if number == len(laid_out) - 1 else [])]
            chapters = [_chapter(root, there[name]) for name in wanted if name in there]
            found += [{"caption": f"{caption} ({_named(root, folder)})", "chapters": chapters}] if chapters else []
    home = front.relative_to(root).with_suffix("").as_posix() if front else _READING
    fixed = [{"caption": caption, "chapters": [{"file": name} for name in names if name != home]} for caption, names in parts
             if (caption, names) not in laid_out]  # fmt: skip
    return {**order, "root": home, "parts": [*found, *fixed]}


def _front(root: Path, name: str) -> Path | None:
    """The front page that the book opens with: the default model's, of the quick profile if there is one."""
    first = results_folder(root, Study.model, Study.profile) / f"{name}.ipynb"
    there = [path for folder in folders_of(root) for path in folder.glob(f"{name}.ipynb")]
    return first if first in there else next(iter(there), None)


def folders_of(root: Path) -> list[Path]:
    """Folders with executed pages: the default model's first; of each model the studies of the book, fuller profiles, then all others."""
    studies = [one.folder for one in read_studies(root / "book" / FILE)]
    order = [*studies, "full", "paper", "quick"]
    found = {path.parent for path in (root / "book" / "results").glob("*/*/*.ipynb")}

    def rank(folder: Path) -> tuple[bool, str, int, str]:
        place = order.index(folder.name) if folder.name in order else len(order)
        return folder.parent.name != Study.model, folder.parent.name, place, folder.name

    return sorted(found, key=rank)


def _named(root: Path, folder: Path) -> str:
    study = next((one for one in read_studies(root / "book" / FILE) if one.folder == folder.name), None)
    if study:
        return f"{folder.parent.name}, {study.profile}, {study.title}"
    return f"{folder.parent.name}, {folder.name}{' profile' * (folder.name in PROFILES)}"


def _chapter(root: Path, path: Path) -> dict[str, str]:
    """A page under the name that it has in the sidebar, where the part says what it was made with."""
    chapter = {"file": path.relative_to(root).with_suffix("").as_posix()}
    titles = [found[1] for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "markdown"
              if (found := re.search(r"^# (.+)$", "".join(cell["source"]), re.MULTILINE))]  # fmt: skip
    short = own_title(titles[0].strip()) if titles else ""
    return {**chapter, "title": short} if titles and short != titles[0].strip() else chapter
