"""Marks of a figure are seen on light and on dark pages, those that are lines alone, too; black ones are as the text is."""

import plotly.graph_objects as go
import pytest
from contrast import FAINT

from mechlib.report.figures.framed import Framed
from mechlib.report.figures.style import COLOURS, TEMPLATE
from mechlib.report.looks import PLOTLY

LOOKS = PLOTLY.parent
DRAWN = """(async () => {
    for (let tries = 0; tries < 200 && !document.querySelector(".legendpoints path"); tries++)
        await new Promise(done => setTimeout(done, 50));
    return document.querySelectorAll(".points path").length;
})()"""
CROSS = "getComputedStyle(document.querySelector('.points path')).stroke"


@pytest.mark.parametrize(("ground", "text"), [("#ffffff", "#222222"), ("#121212", "#ced6dd")])
def test_marks_that_are_lines_are_seen_in_both_themes(browser, tmp_path, ground, text):
    figure = go.Figure(layout={"height": 300, "showlegend": True, "template": TEMPLATE})
    figure.add_scatter(x=[1], y=[1], mode="markers", marker={"symbol": "x-thin", "line": {"width": 2, "color": "#000000"}})
    for place, colour in enumerate(COLOURS.values()):
        figure.add_scatter(x=[place], y=[0], mode="markers", marker={"symbol": "circle-open", "color": colour})
    scripts = "".join(f"<script>{path.read_text(encoding='utf-8')}</script>" for path in (PLOTLY, LOOKS / "book.js"))
    style = (LOOKS / "book.css").read_text(encoding="utf-8")
    page = tmp_path / "page.html"
    page.write_text(f'''<!DOCTYPE html><meta charset="utf-8"><style>{style}
        :root {{ --pst-color-text-base: {text}; --pst-color-background: {ground}; background: {ground}; }}</style>
        <body>{Framed(figure, 1, "marks", "Marks", {}).html}{scripts}''', encoding="utf-8")
    tab = browser.tab(800)
    tab.open(page.as_uri())
    assert tab.ask(DRAWN) == 1 + len(COLOURS) and tab.errors == []
    assert tab.ask(FAINT) == []
    red, green, blue = (int(text[at : at + 2], 16) for at in (1, 3, 5))
    assert tab.ask(CROSS) == f"rgb({red}, {green}, {blue})"
