"""``make pdf``: the cover, then all pages in order, with their figures; ids and links of one page never meet those of another."""

import re
import zlib
from pathlib import Path

import pytest
from small_book import copy_book

from mechlib.report import pdf as module
from mechlib.report.chromium import BrowserError, program
from mechlib.report.notebooks import PageError
from mechlib.report.one_document import Cover, in_order, one_document
from mechlib.report.pdf import pdf

COVER = Cover("A <book>", "Somebody", "1.2")
FIRST = """<html><head><link rel="stylesheet" href="../look.css"><link rel="next" href="b.html"><script src="menu.js"></script>
<script src="plotly.min.js"></script></head><body><article><h1 id="editing">One</h1><a href="b.html#editing">two</a><a href="b.html">b</a>
<a href="rows.csv">rows</a><a href="https://example.org">e</a><img src="p.png"><details><p>folded</p></details>
<figure class="mech-figure" id="fig-a"><div class="mech-plot"><script>{}</script></div><img class="mech-still" src="s.svg" loading="lazy">
</figure><div class="cell_output"><style>#T_0.a, #T_1 {color: #editing}</style><table id="T_0"></table></div></article></body></html>"""


@pytest.fixture
def two(tmp_path):
    """Two pages that have the same ids; the first names the second."""
    (tmp_path / "html").mkdir()
    for name, text in (("a", FIRST), ("b", FIRST.replace("One", "Two").replace('rel="next"', 'rel="prev"'))):
        (tmp_path / "html" / f"{name}.html").write_text(text)
    return in_order(tmp_path / "html", "a.html")


def test_pages_come_in_the_order_of_the_book(two):
    assert [page.name for page in two] == ["a.html", "b.html"]
    text = one_document(two, COVER)
    assert "A &lt;book&gt;" in text
    places = [text.index(word) for word in ("Version 1.2", "Contents", ">One</h1>", ">Two</h1>")]
    assert places == sorted(places)


def test_what_two_pages_call_the_same_stays_two(two):
    text = one_document(two, COVER)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    for number in (0, 1):
        assert f"#p{number}-T_0.a, #T_1 {{color: #editing}}" in text and f'<table id="p{number}-T_0">' in text


def test_links_lead_within_the_document_and_files_are_found(two):
    text = one_document(two, COVER)
    assert 'href="#p1-editing"' in text and 'href="#page-1"' in text and 'href="https://example.org"' in text and "rows.csv" not in text
    assert text.count((two[0].parent / "p.png").as_uri()) == 2 and text.count((two[0].parents[1] / "look.css").as_uri()) == 1
    assert '<details open="">' in text


def test_figures_are_their_still_pictures_and_no_script_is_left(two):
    text = one_document(two, COVER)
    assert "<script" not in text and "mech-plot" not in text
    assert text.count(f'loading="eager" src="{(two[0].parent / "s.svg").as_uri()}"') == 2


def test_a_figure_without_a_still_picture_is_one_line(two):
    two[1].write_text(two[1].read_text().replace("mech-still", "other"))
    with pytest.raises(PageError, match=r"^a figure of b\.html has no still picture: .*$"):
        one_document(two, COVER)


def test_without_a_browser_it_is_one_line_before_any_work(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "program", lambda: None)
    monkeypatch.setattr(module, "build", lambda root: pytest.fail("the book was built"))
    with pytest.raises(BrowserError, match="^make pdf needs Chromium on the path: .*$"):
        pdf(tmp_path)


@pytest.mark.skipif(program() is None, reason="no Chromium is on the path")
def test_a_book_is_printed_with_its_figures(monkeypatch, tmp_path):
    root = copy_book(tmp_path)
    html = root / "_build" / "html"
    html.mkdir(parents=True)
    picture = '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="90"><rect width="80" height="80" fill="#123456"/></svg>'
    (html / "s.svg").write_text(picture)
    for name, other in (("a", "next"), ("b", "prev")):
        (html / f"{name}.html").write_text(FIRST.replace('rel="next"', f'rel="{other}"'))
    monkeypatch.setattr(module, "table_of_contents", lambda root: {"root": "a"})
    path = module.print_book(root, html)
    data = path.read_bytes()
    assert path == root / "_build" / "book.pdf" and data.startswith(b"%PDF-")
    # Cover, contents and a sheet for each page; every one of the two figures is filled with its colour.
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", data)) == 4
    assert b"/Outlines" in data
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", data, re.DOTALL)
    drawn = b"".join(zlib.decompressobj().decompress(one) for one in streams if one[:1] == b"x")
    assert len(re.findall(rb"\.0706 \.2039 \.3373 rg", drawn)) >= 2
    assert not list(Path(path.parent).glob("*.partial"))
