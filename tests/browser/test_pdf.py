"""``make pdf``: the cover, then all pages in order, with their figures; ids and links of one page never meet those of another."""

import re
import zlib
from pathlib import Path

import pytest
from small_book import copy_book

from mechlib.report import pdf as module
from mechlib.report.chromium import BrowserError, program
from mechlib.report.one_document import Cover, in_order, one_document
from mechlib.report.pdf import pdf

COVER = Cover("A <book>", "Somebody", "1.2")
FIRST = """<html><head><link rel="stylesheet" href="../look.css"><link rel="next" href="b.html"><script src="menu.js"></script>
<script src="plotly.min.js"></script></head><body><article><h1 id="editing">One</h1><a href="b.html#editing">two</a><a href="b.html">b</a>
<a href="rows.csv">rows</a><a href="https://example.org">e</a><img src="p.png"><details><p>folded</p></details>
<div class="cell_output"><div id="figure-0"></div><script>draw("figure-0", ["editing"])</script><style>#figure-0 {color: red}</style></div>
</article></body></html>"""


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
        assert f'draw("p{number}-figure-0", ["editing"])' in text and f"#p{number}-figure-0 {{color: red}}" in text


def test_links_lead_within_the_document_and_files_are_found(two):
    text = one_document(two, COVER)
    assert 'href="#p1-editing"' in text and 'href="#page-1"' in text and 'href="https://example.org"' in text and "rows.csv" not in text
    assert text.count((two[0].parent / "p.png").as_uri()) == 2 and text.count((two[0].parents[1] / "look.css").as_uri()) == 1
    assert "plotly.min.js" in text and "menu.js" not in text
    assert '<details open="">' in text


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
    # A drawing that takes a moment, as plotly's do.
    (html / "plotly.min.js").write_text("""function draw(id) { setTimeout(() => {
        document.getElementById(id).innerHTML =
            '<svg class="main-svg" width="90" height="90"><rect width="80" height="80" fill="#123456"/></svg>';
    }, 300); }""")
    for name, other in (("a", "next"), ("b", "prev")):
        text = FIRST.replace('<div id="fig', '<div class="plotly-graph-div" id="fig').replace('rel="next"', f'rel="{other}"')
        (html / f"{name}.html").write_text(text)
    monkeypatch.setattr(module, "table_of_contents", lambda root: {"root": "a"})
    path = module.print_book(root, html)
    data = path.read_bytes()
    assert path == root / "_build" / "book.pdf" and data.startswith(b"%PDF-")
    # Cover, contents and a sheet for each page; every one of the two figures is filled with its colour.
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", data)) == 4
    assert b"/Outlines" in data
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", data, re.DOTALL)
    drawn = b"".join(zlib.decompress(one) for one in streams if one[:1] == b"x")
    assert len(re.findall(rb"\.0706 \.2039 \.3373 rg", drawn)) >= 2
    assert not list(Path(path.parent).glob("*.partial"))
