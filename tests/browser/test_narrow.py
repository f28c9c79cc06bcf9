"""Where there is little room, panels of a figure stand under each other, and the titles of no two of them touch."""

import pytest
from plotly.subplots import make_subplots

from mechlib.report.figures.framed import Framed
from mechlib.report.looks import PLOTLY

LOOKS = PLOTLY.parent
TITLES = ["other facts, cross-validated", "says the true answer", "says the edit target"]
# The places of the panels' titles, once the figure is drawn.
PLACES = """(async () => {
    for (let tries = 0; tries < 200 && !document.querySelector(".main-svg .annotation-text"); tries++)
        await new Promise(done => setTimeout(done, 50));
    await new Promise(done => setTimeout(done, 300));
    return [...document.querySelectorAll(".annotation-text")].map(each => each.getBoundingClientRect())
        .map(box => [box.left, box.top, box.right, box.bottom]);
})()"""


@pytest.fixture
def page(tmp_path):
    figure = make_subplots(1, len(TITLES), subplot_titles=TITLES, shared_yaxes=True)
    for column in range(1, len(TITLES) + 1):
        figure.add_scatter(x=[0, 1], y=[0, 1], row=1, col=column)
    scripts = "".join(f"<script>{path.read_text(encoding='utf-8')}</script>" for path in (PLOTLY, LOOKS / "book.js"))
    style = f"<style>{(LOOKS / 'book.css').read_text(encoding='utf-8')} body {{ margin: 0 20px; }}</style>"
    html = Framed(figure.update_layout(height=300), 1, "three", "Three panels", {}).html
    path = tmp_path / "page.html"
    # As much beside the text as the book's pages have.
    phone = '<!DOCTYPE html><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    path.write_text(f"{phone}{style}<body>{html}{scripts}", encoding="utf-8")
    return path


def apart(one, other):
    return one[2] < other[0] or other[2] < one[0] or one[3] < other[1] or other[3] < one[1]


@pytest.mark.parametrize(("width", "stacked"), [(390, True), (499, True), (500, True), (560, True), (712, False)])
def test_titles_of_panels_do_not_touch(browser, page, width, stacked):
    tab = browser.tab(width)
    tab.open(page.as_uri())
    found = tab.ask(PLACES)
    assert len(found) == len(TITLES) and tab.errors == []
    assert all(apart(one, other) for number, one in enumerate(found) for other in found[:number])
    assert (len({round(place[1]) for place in found}) == len(TITLES)) is stacked
