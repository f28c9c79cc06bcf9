"""``make picture``: the README's picture, taken from an executed page and not drawn by hand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from mechlib.report.book import build
from mechlib.report.book_contents import table_of_contents
from mechlib.report.chromium import DRAWN, BrowserError, chromium, program
from mechlib.report.notebooks import PageError
from mechlib.report.one_document import in_order
from mechlib.runs.spec import digest

# The first figure of the front page; where that has none, of the page that decides the paper's first claim.
_OTHERWISE = "06_prompting.html"
_SVG = """(async () => {
    const figure = document.querySelector(".js-plotly-plot");
    const {data, layout} = figure;
    const shown = {...layout, paper_bgcolor: "#ffffff", plot_bgcolor: "#ffffff", font: {...layout.font, color: "#333333"}, autosize: false};
    return await Plotly.toImage({data, layout: shown}, {format: "svg", width: 900, height: layout.height || 450});
})()"""


def picture(root: Path) -> Path:
    """Write ``book/finding.svg`` and return it; raises :class:`BrowserError` if there is no Chromium, before anything else."""
    if program() is None:
        raise BrowserError("make picture needs Chromium on the path: install it (apt-get install chromium)")
    html = build(root).parent
    page = chosen(in_order(html, f"{table_of_contents(root)['root']}.html"))
    with chromium() as browser:
        tab = browser.tab(1280)
        tab.open(page.as_uri())
        if not tab.ask(DRAWN):
            raise BrowserError(f"the first figure of {page.name} is not drawn: make book, and look at the page in a browser")
        address = str(tab.ask(_SVG))
    target = root / "book" / "finding.svg"
    source = page.relative_to(html).with_suffix(".ipynb")
    mark = f"<!-- {source.as_posix()} {digest(root / source)} -->"
    target.write_text(f"{unquote(address.partition(',')[2])}\n{mark}\n", encoding="utf-8")
    return target


def chosen(pages: Sequence[Path]) -> Path:
    """The page whose first figure is the picture; raises :class:`PageError` if there is none."""
    for page in (pages[0], *(page for page in pages if page.name == _OTHERWISE)):
        if "plotly-graph-div" in page.read_text(encoding="utf-8"):
            return page
    raise PageError(f"no figure for a picture: neither {pages[0].name} nor {_OTHERWISE} has one; make execute makes them")


def is_current(root: Path, image: Path) -> bool:
    """Whether an image was taken from its page as that is now."""
    found = re.search(r"<!-- (\S+) ([0-9a-f]+) -->\s*$", image.read_text(encoding="utf-8"))
    return bool(found) and (root / found[1]).is_file() and digest(root / found[1]) == found[2]
