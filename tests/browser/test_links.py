"""Whatever a page names is there: other pages, places in them, pictures, styles and scripts; and the whole is small."""

import os
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from bs4 import BeautifulSoup

from mechlib.report.looks import ICON

MOST_BYTES = 40 * 1024**2


def names(page):
    """The addresses that a page names, and the places within it."""
    soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    addresses = [each[name] for name in ("href", "src") for each in soup.find_all(attrs={name: True})]
    places = {each[name] for name in ("id", "name") for each in soup.find_all(attrs={name: True})}
    return addresses, places


def dangling(files):
    """What pages name and is not there, as (page, address); addresses of the web are left to the reader's network."""
    known = {page: names(page) for page in files}
    found = []
    for page, (addresses, _) in known.items():
        for address in addresses:
            plain, place = urldefrag(address)
            if urlsplit(address).scheme or address.startswith("//"):
                continue
            target = Path(os.path.normpath(page.parent / unquote(urlsplit(plain).path))) if plain else page
            there = target.is_file() and (not place or target not in known or unquote(place) in known[target][1])
            found += [] if there else [(page.name, address)]
    return found


@pytest.fixture(scope="module")
def files(built):
    return sorted(path for path in built.rglob("*.html") if "_static" not in path.parts)


def test_every_internal_link_leads_somewhere(files):
    assert len(files) > 5
    assert dangling(files) == []


def test_every_address_is_of_the_book_or_of_the_web(files):
    """A scheme that no browser knows is one that a page was to replace."""
    known = {"", "http", "https", "data", "mailto"}
    assert [(page.name, one) for page in files for one in names(page)[0] if urlsplit(one).scheme not in known] == []


def test_every_page_has_the_books_own_icon(files):
    """Without one a browser asks a server for a file that is not there."""
    for page in files:
        icons = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser").select("link[rel~=icon]")
        assert [(page.parent / each["href"]).resolve().read_bytes() for each in icons] == [ICON.read_bytes()], page


def test_nothing_is_loaded_from_elsewhere(files):
    for page in files:
        soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
        loaded = [each.get("src") or each.get("href") for each in soup.select("script[src], img[src], iframe[src], link[rel=stylesheet]")]
        assert [one for one in loaded if urlsplit(one).scheme not in ("", "data")] == [], page


def test_the_book_is_small(built):
    assert sum(path.stat().st_size for path in built.rglob("*") if path.is_file()) < MOST_BYTES


def test_a_link_that_leads_nowhere_is_found(tmp_path):
    first = '<p id="here"><a href="b.html#there">b</a><a href="#here">a</a><a href="c.html">c</a><img src="d.png">'
    (tmp_path / "a.html").write_text(first)
    (tmp_path / "b.html").write_text('<a href="a.html#here">a</a><a href="a.html#gone">a</a><a href="https://example.org">e</a>')
    found = dangling(sorted(tmp_path.glob("*.html")))
    assert found == [("a.html", "b.html#there"), ("a.html", "c.html"), ("a.html", "d.png"), ("b.html", "a.html#gone")]
