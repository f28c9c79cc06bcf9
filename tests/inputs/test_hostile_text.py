"""Text of facts, models and files stays text in tables, figures and banners, whatever it holds."""

import html
import json
import re
from html.parser import HTMLParser

import pandas as pd
import plotly.graph_objects as go
import pytest

from mechlib.report import markup
from mechlib.report.figures.framed import Framed
from mechlib.report.page import open_page
from mechlib.report.tables import interval_table, styled

HOSTILE = [
    "<script>alert(1)</script>", "</td><img src=x onerror=alert(1)>", '<a href="javascript:alert(1)">x</a>', "[x](javascript:alert(1))",
    "$$\\href{javascript:1}{x}$$", "{{ 7 * 7 }}", "`x`", "a | b", "<!--", "&lt;b&gt;", "'\" onload=\"x", "<svg/onload=x>", "</style><b>",
    "</div><iframe>",
]  # fmt: skip


class Elements(HTMLParser):
    """The elements of a document with their attributes, and its text."""

    def __init__(self, document):
        super().__init__()
        self.found, self.text, self.attributes = set(), "", set()
        self.feed(document)

    def handle_starttag(self, tag, attrs):
        self.found.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.text += data


def test_the_reader_of_elements_sees_what_is_injected():
    assert Elements("<p>" + HOSTILE[1]).found == {"p", "img"}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_table_shows_it_as_text(text):
    frame = pd.DataFrame({"subject": [text, "b"], text: [0.5, None]}, index=[text, "other"])
    for table in (styled(frame, {text: "{:.1f}"}, index=True), styled(frame), styled(frame, index=True).set_caption("a")):
        seen = Elements(table.to_html())
        assert seen.found <= {"style", "table", "thead", "tbody", "tr", "td", "th", "caption"}
        assert seen.attributes <= {"id", "class", "type"}
        assert text in seen.text


@pytest.mark.parametrize("text", HOSTILE)
def test_a_table_of_intervals_shows_it_as_text(text):
    table = pd.DataFrame([{"arm": text, "format": text, "share": 0.5, "low": 0.4, "high": 0.6}])
    seen = Elements(styled(interval_table(table, ["arm"], "format"), index=True).to_html())
    assert seen.found <= {"style", "table", "thead", "tbody", "tr", "td", "th"}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_figure_draws_it_as_text(text):
    figure = go.Figure(go.Bar(x=[text], y=[1], text=[text], name=text, hovertemplate=f"{text}: %{{y}}<br><extra></extra>"))
    figure.update_layout(title=text, xaxis_title=text)
    seen = Elements(Framed(figure, 1, "key", text, {text: ["0a1b"]}).html)
    assert seen.found <= {"figure", "div", "script", "figcaption", "a", "details", "summary", "p", "code", "em", "ul", "li", "table",
                          "thead", "tbody", "tr", "th", "td"}  # fmt: skip
    assert seen.attributes <= {"id", "class", "style", "type", "role", "aria-label", "href", "download", "open", "border"}
    drawn = json.dumps(markup.figure(figure.to_dict()))
    assert set(re.findall(r"<([^>]*)>?", drawn)) <= {"br", "extra", "/extra", "b"}
    assert html.unescape(markup.figure(text)) == html.unescape(text)


def test_labels_keep_the_tags_that_they_are_made_with():
    assert markup.figure({"x": ["a<br>b", "<b>c</b>", 3, None], "y": "x<sub>1</sub><extra></extra>"}) == {
        "x": ["a<br>b", "<b>c</b>", 3, None], "y": "x<sub>1</sub><extra></extra>",
    }  # fmt: skip


def test_a_model_and_a_table_called_so_are_text_in_a_banner(tmp_path, monkeypatch):
    monkeypatch.setattr("mechlib.runs.specs.localizing.fingerprint", lambda spec: spec.name)
    folder = tmp_path / "<img src=x onerror=alert(1)>"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    facts = folder / "<script>.csv"
    facts.write_text("athlete,sport\nA B,golf\nC D,tennis\n")
    parameters = {"MODEL": str(folder), "PROFILE": "quick", "FACTS": str(facts), "SEED": 0}
    seen = Elements(open_page(parameters).banner().data)
    assert seen.found == {"div", "b", "details", "summary", "table", "tr", "td"}
    assert seen.attributes == {"style"}
    assert str(folder) in seen.text
