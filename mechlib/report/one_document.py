"""The built book as one page: cover, contents, and all pages in their order, as the PDF is printed from it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit

from bs4 import BeautifulSoup

from mechlib.report.notebooks import PageError

STYLE = Path(__file__).with_name("print.css")
# What a page's own styles may name.
_STYLED = ":is(div, figure, svg, table)[id], :is(.cell_output, svg, table) [id]"


@dataclass(frozen=True)
class Cover:
    """What the first sheet says."""

    title: str
    author: str
    version: str


def in_order(html: Path, first: str) -> list[Path]:
    """The pages of a built book, each followed by the one that its "next" leads to. Raises :class:`PageError` if there is none."""
    pages: list[Path] = []
    page: Path | None = html / first
    while page is not None and page not in pages:
        if not page.is_file():
            raise PageError(f"{page} is not there: make book renders it")
        pages.append(page)
        following = _soup(page).find("link", rel="next")
        page = Path(os.path.normpath(page.parent / unquote(str(following["href"])))) if following else None
    return pages


def one_document(pages: Sequence[Path], cover: Cover) -> str:
    """Those pages as one, in the light theme; links between them lead within it, and files are named in full."""
    soups = [_soup(page) for page in pages]
    articles = [_article(soup, page) for soup, page in zip(soups, pages, strict=True)]
    known = {page: {str(each["id"]) for each in article.find_all(id=True)} for page, article in zip(pages, articles, strict=True)}
    numbers = {page: number for number, page in enumerate(pages)}
    for page, article in zip(pages, articles, strict=True):
        _rename(article, numbers[page], known[page])
        _lead(article, page, numbers, known)
    head = "".join(dict.fromkeys(line for soup, page in zip(soups, pages, strict=True) for line in _head(soup, page)))
    contents = "".join(f'<li><a href="#page-{number}">{escape(_title(article))}</a></li>' for number, article in enumerate(articles))
    body = "".join(f'<section class="printed" id="page-{number}">{article}</section>' for number, article in enumerate(articles))
    return (
        f'<!DOCTYPE html><html lang="en" data-theme="light" data-mode="light"><head><meta charset="utf-8">'
        f"<title>{escape(cover.title)}</title>{head}<style>{STYLE.read_text(encoding='utf-8')}</style></head><body>"
        f'<section class="cover"><p class="title">{escape(cover.title)}</p><p>{escape(cover.author)}</p>'
        f"<p>Version {escape(cover.version)}</p></section>"
        f'<nav class="printed-contents"><p>Contents</p><ol>{contents}</ol></nav>{body}</body></html>'
    )


def _soup(page: Path) -> Any:
    return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")


def _article(soup: Any, page: Path) -> Any:
    article = soup.find("article")
    if article is None:
        raise PageError(f"{page} has no text: make book renders it anew")
    for unwanted in article.select(".headerlink, .copybtn, button, .prev-next-area"):
        unwanted.decompose()
    for folded in article.find_all("details"):
        folded["open"] = ""
    for still in article.select(".mech-figure .mech-still"):
        still["loading"] = "eager"  # all of them are printed
        figure = still.find_parent(class_="mech-figure")
        for unwanted in figure.select(".mech-plot, picture source"):
            unwanted.decompose()
    if article.select_one(".mech-plot"):
        raise PageError(f"a figure of {page.name} has no still picture: make book draws them where Chromium is on the path")
    for script in article.find_all("script"):
        script.decompose()
    return article


def _title(article: Any) -> str:
    heading = article.find("h1")
    return heading.get_text(" ", strip=True) if heading else "Untitled"


def _rename(article: Any, number: int, ids: set[str]) -> None:
    """Give every id of a page the page's number, also where its styles name it: tables of two pages may be called the same."""
    for each in article.find_all(id=True):
        each["id"] = f"p{number}-{each['id']}"
    for name in ("for", "aria-labelledby", "aria-describedby", "aria-controls", "headers"):
        for each in article.find_all(attrs={name: True}):
            words = each[name].split() if isinstance(each[name], str) else each[name]
            each[name] = " ".join(f"p{number}-{word}" if word in ids else word for word in words)
    styled = {f"#{str(each['id']).removeprefix(f'p{number}-')}" for each in article.select(_STYLED)}
    for each in article.find_all("style"):
        named = re.compile(r"#[A-Za-z][\w:-]*")
        each.string = named.sub(lambda found: f"#p{number}-{found[0][1:]}" if found[0] in styled else found[0], each.string or "")


def _lead(article: Any, page: Path, numbers: dict[Path, int], known: dict[Path, set[str]]) -> None:
    for each in article.find_all("a", href=True):
        target, anchor = urldefrag(each["href"])
        if urlsplit(each["href"]).scheme:
            continue
        file = Path(os.path.normpath(page.parent / unquote(target))) if target else page
        if file not in numbers:
            del each["href"]  # a file beside the page: a PDF does not bring it
        else:
            each["href"] = f"#p{numbers[file]}-{anchor}" if anchor in known[file] else f"#page-{numbers[file]}"
    for each in article.find_all(src=True):
        if not urlsplit(each["src"]).scheme:
            each["src"] = _full(each["src"], page)


def _head(soup: Any, page: Path) -> list[str]:
    """Styles, each as the same text whatever page names it; paper needs no script."""
    for each in soup.head.find_all("link", rel="stylesheet"):
        each["href"] = _full(each["href"], page)
    return [str(each) for each in soup.head.select("link[rel=stylesheet], style")]


def _full(address: str, page: Path) -> str:
    parts = urlsplit(address)
    return address if parts.scheme else Path(os.path.normpath(page.parent / unquote(parts.path))).as_uri()
