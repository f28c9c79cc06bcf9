"""``make pdf``: the whole book as one PDF, with its figures, links and an outline."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import yaml

from mechlib import __version__
from mechlib.report.book import build
from mechlib.report.book_contents import table_of_contents
from mechlib.report.chromium import BrowserError, chromium, program
from mechlib.report.one_document import Cover, in_order, one_document

_SCALE = 0.75
_FOOT = '<div style="font-size:8px;width:100%;text-align:center"><span class="pageNumber"></span></div>'


def pdf(root: Path) -> Path:
    """Render the book, print it and return the file; raises :class:`BrowserError` if there is no Chromium, before anything else."""
    if program() is None:
        raise BrowserError("make pdf needs Chromium on the path: install it (apt-get install chromium), or read what make serve shows")
    return print_book(root, build(root).parent)


def print_book(root: Path, html: Path) -> Path:
    """Print a built book."""
    config: dict[str, Any] = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    pages = in_order(html, f"{table_of_contents(root)['root']}.html")
    document = one_document(pages, Cover(config["title"], config["author"], __version__))
    target = root / "_build" / "book.pdf"
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        source = Path(folder) / "book.html"
        source.write_text(document, encoding="utf-8")
        tab = browser.tab(1280)
        tab.open(source.as_uri())
        tab.print(target, scale=_SCALE, preferCSSPageSize=True, printBackground=True, generateTaggedPDF=True, generateDocumentOutline=True,
                  displayHeaderFooter=True, headerTemplate="<span></span>", footerTemplate=_FOOT)  # fmt: skip
    return target
