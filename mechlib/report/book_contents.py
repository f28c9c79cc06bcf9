"""What the book contains and in which order: the pages of each model and profile that has results, laid out as ``_toc.yml`` says."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
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
    """``_toc.yml`` with the executed pages that exist: its parts once for each profile of the default model, then of the others.

    A page that several studies of a profile have stands there once for each, named by the study; one of changed parameters, by these.
    """
    order: dict[str, Any] = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    parts = [(part["caption"], [chapter["file"] for chapter in part["chapters"]]) for part in order["parts"]]
    laid_out = [(caption, names) for caption, names in parts if not any("/" in name for name in names)]
    listed = {order["root"], *(name for _, names in laid_out for name in names)}
    front = _front(root, order["root"])
    titles = {one.folder: one.title for one in read_studies(root / "book" / FILE)}
    found: list[dict[str, Any]] = []
    for (model, profile), folders in _by_profile(root).items():
        pages = [path for folder in folders for path in sorted(folder.glob("*.ipynb")) if path != front]
        others = list(dict.fromkeys(path.stem for path in pages if path.stem not in listed))
        for number, (caption, names) in enumerate(laid_out):
            wanted = [*([order["root"]] if number == 0 else []), *names, *(others if number == len(laid_out) - 1 else [])]
            groups = [[path for path in pages if path.stem == name] for name in wanted]
            chapters = [_chapter(root, path, _told(path, group, titles)) for group in groups for path in group]
            found += [{"caption": f"{caption} ({model}, {profile})", "chapters": chapters}] if chapters else []
    home = front.relative_to(root).with_suffix("").as_posix() if front else _READING
    fixed = [{"caption": caption, "chapters": [{"file": name} for name in names if name != home]} for caption, names in parts
             if (caption, names) not in laid_out]  # fmt: skip
    return {**order, "root": home, "parts": [*found, *fixed]}


def _by_profile(root: Path) -> dict[tuple[str, str], list[Path]]:
    """Folders of results by their model and profile, whatever else was changed; a folder of no known profile is one of its own."""
    found: dict[tuple[str, str], list[Path]] = {}
    for folder in folders_of(root):
        found.setdefault((folder.parent.name, _profile(folder.name)), []).append(folder)
    return found


def _profile(folder: str) -> str:
    """The profile that a folder's name begins with; the whole name of any other folder."""
    first = folder.partition("-")[0]
    return first if first in PROFILES else folder


def _told(path: Path, group: Sequence[Path], titles: Mapping[str, str]) -> str:
    """What tells a page from others of its name in one part (``group``): its study, in as few words as do, or what was changed; or "".

    The pages of a profile's usual parameters need no word, and neither does a page that only one study has.
    """
    own = path.parent.name
    if own not in titles:
        return own if own not in PROFILES and _profile(own) in PROFILES else ""
    if len(group) == 1:
        return ""
    short = [titles[one.parent.name].partition(",")[0] for one in group if one.parent.name in titles]
    mine = titles[own].partition(",")[0]
    return mine if short.count(mine) == 1 else titles[own]


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


def _chapter(root: Path, path: Path, told: str) -> dict[str, str]:
    """A page under the name that it has in the sidebar, where the part says model and profile, and ``told`` what else is to be said."""
    chapter = {"file": path.relative_to(root).with_suffix("").as_posix()}
    titles = [found[1] for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "markdown"
              if (found := re.search(r"^# (.+)$", "".join(cell["source"]), re.MULTILINE))]  # fmt: skip
    title = titles[0].strip() if titles else path.stem
    shown = own_title(title) + (f" ({told})" if told else "")
    return chapter if shown == title or not (titles or told) else {**chapter, "title": shown}
