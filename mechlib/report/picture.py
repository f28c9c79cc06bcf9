"""``make picture``: the README's picture, taken from an executed page and not drawn by hand."""

from __future__ import annotations

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
# Pixels, for a README on a wide screen.
_WIDTH = 900


def picture(root: Path) -> Path:
    """Write ``book/finding.svg`` and return it; raises :class:`BrowserError` if there is no Chromium, before anything else."""
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
    return target


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
