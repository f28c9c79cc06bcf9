"""``make picture``: the README's picture and its sentence, taken from an executed page and not made by hand."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from pathlib import Path

from mechlib.report.book import build
from mechlib.report.book_contents import table_of_contents
from mechlib.report.chromium import BrowserError, program
from mechlib.report.notebooks import PageError
from mechlib.report.one_document import in_order
from mechlib.report.stills import FIGURE, pen
from mechlib.runs.spec import digest

# The first figure of the front page; where that has none, of the page that decides the paper's first claim.
_OTHERWISE = "06_prompting.html"
# What stands around the README's sentence.
_BEGINS, _ENDS = "<!-- finding -->", "<!-- taken -->"
_SENTENCE = re.compile(f"{re.escape(_BEGINS)}(.*?){re.escape(_ENDS)}", re.DOTALL)
# Pixels, for a README on a wide screen.
_WIDTH = 900


def picture(root: Path) -> Path:
    """Write ``book/finding.svg`` and the README's sentence, and return the first.

    Raises :class:`BrowserError` if there is no Chromium, before anything else.
    """
    if program() is None:
        raise BrowserError("make picture needs Chromium on the path: install it (apt-get install chromium)")
    html = build(root).parent
    page = chosen(in_order(html, f"{table_of_contents(root)['root']}.html"))
    found = FIGURE.search(page.read_text(encoding="utf-8"))
    assert found is not None  # or it would not have been chosen
    with pen() as draw:
        svg = draw(found["source"], _WIDTH)
    target = root / "book" / "finding.svg"
    source = page.relative_to(html).with_suffix(".ipynb")
    mark = f"<!-- {source.as_posix()} {digest(root / source)} -->"
    target.write_text(f"{svg}\n{mark}\n", encoding="utf-8")
    if (said := headline(root / source)) and (readme := root / "README.md").is_file():
        text = readme.read_text(encoding="utf-8")
        readme.write_text(_SENTENCE.sub(lambda _: f"{_BEGINS}\n**{said}**\n{_ENDS}", text), encoding="utf-8")
    return target


def headline(page: Path) -> str:
    """What the executed front page says first; "" of another page."""
    outputs = (output for cell in json.loads(page.read_text(encoding="utf-8"))["cells"] for output in cell.get("outputs", ()))
    given = {output["metadata"]["scrapbook"]["name"]: output["data"] for output in outputs if "scrapbook" in output.get("metadata", {})}
    found = given.get("headline", {}).get("application/papermill.record/text/plain", "''")
    return str(ast.literal_eval("".join(found)))


def taken(readme: str) -> str:
    """The sentence that a README has from the front page; "" where there is none."""
    found = _SENTENCE.search(readme)
    return found[1].strip().strip("*") if found else ""


def chosen(pages: Sequence[Path]) -> Path:
    """The page whose first figure is the picture; raises :class:`PageError` if there is none."""
    for page in (pages[0], *(page for page in pages if page.name == _OTHERWISE)):
        if FIGURE.search(page.read_text(encoding="utf-8")):
            return page
    raise PageError(f"no figure for a picture: neither {pages[0].name} nor {_OTHERWISE} has one; make execute makes them")


def is_current(root: Path, image: Path) -> bool:
    """Whether an image was taken from its page as that is now."""
    found = re.search(r"<!-- (\S+) ([0-9a-f]+) -->\s*$", image.read_text(encoding="utf-8"))
    return bool(found) and (root / found[1]).is_file() and digest(root / found[1]) == found[2]
