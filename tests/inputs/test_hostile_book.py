"""The built book shows hostile names and messages as text: its pages hold no element, handler or link that a harmless book lacks."""

from html.parser import HTMLParser

import nbformat
import pandas as pd
import pytest
from small_book import bare_book

from mechlib.models import resolve
from mechlib.report import markup
from mechlib.report.book import build
from mechlib.report.book_contents import results_folder
from mechlib.report.cut import cut
from mechlib.report.tables import styled

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>[x](javascript:alert(3)) $$\\href{javascript:4}{y}$$ {glue:text}`n` </p>`c`"
NAME = "<img src=x onerror=alert(1)>[x](javascript:alert(3)){glue:text}`n`.gguf"


def page(text):
    """A page whose table, number, and reason to end early hold a text."""
    number = {"scrapbook": {"name": "said", "mime_prefix": "application/papermill.record/"}}
    table = styled(pd.DataFrame({"subject": [text], text: [1]}), index=True).to_html()
    outputs = [
        nbformat.v4.new_output("display_data", data={"application/papermill.record/text/plain": repr(text)}, metadata=number),
        nbformat.v4.new_output("display_data", data={"text/html": f"<div>Model <b>{markup.text(text)}</b></div>{table}"}),
    ]
    cells = [
        nbformat.v4.new_markdown_cell("# A page\n\nIt said {glue:text}`said`."),
        nbformat.v4.new_code_cell("show()", outputs=outputs, execution_count=1),
        nbformat.v4.new_markdown_cell("## What failed\n\nText."),
        nbformat.v4.new_code_cell("fail()", outputs=[nbformat.v4.new_output("error", ename="EditError", evalue="x", traceback=[])]),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata.update(kernelspec={"name": "python3", "display_name": "Python 3", "language": "python"}, mechlib={})
    cut(notebook, text)
    return notebook


class Found(HTMLParser):
    """What a document can do: its elements, its handlers, and the schemes of its links; and its text."""

    def __init__(self, document):
        super().__init__(convert_charrefs=True)
        self.elements, self.handlers, self.schemes, self.text = [], set(), set(), ""
        self.feed(document)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        for name, value in attrs:
            if name.startswith("on"):
                self.handlers.add((tag, name))
            if name in ("href", "src", "action", "formaction") and ":" in (value or ""):
                self.schemes.add(value.partition(":")[0].strip().lower())

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The same page of a harmless and of a hostile model, in one book."""
    root = bare_book(tmp_path_factory.mktemp("book"))
    found = {}
    for file, text in (("harmless.gguf", "a name"), (NAME, HOSTILE)):
        (root / file).touch()
        folder = results_folder(root, resolve(str(root / file)).name, "quick")
        folder.mkdir(parents=True)
        nbformat.write(page(text), folder / "01_page.ipynb")
        found[text] = (folder / "01_page.html").relative_to(root)
    build(root)
    return [Found((root / "_build" / "html" / place).read_text(encoding="utf-8")) for place in found.values()]


def test_the_reader_sees_what_a_text_can_do():
    seen = Found("<p onclick='x'><a href=' javascript:x'>y</a>")
    assert (seen.elements, seen.handlers, seen.schemes) == (["p", "a"], {("p", "onclick")}, {"javascript"})


def test_a_hostile_page_has_no_other_elements_handlers_or_links(built):
    harmless, hostile = built
    for tag in ("script", "img", "iframe", "svg", "object", "embed", "form", "input", "style", "link", "meta", "base"):
        assert hostile.elements.count(tag) == harmless.elements.count(tag), tag
    assert set(hostile.elements) <= set(harmless.elements)
    assert hostile.handlers <= harmless.handlers
    assert hostile.schemes <= harmless.schemes
    assert "javascript" not in hostile.schemes


def test_its_text_is_there_to_be_read(built):
    assert built[1].text.count("<script>alert(2)</script>") >= 3
