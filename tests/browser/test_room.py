"""Above a figure there is room for titles of panels where it has some, and hardly any where it has none; nothing is cut."""

import plotly.graph_objects as go
import pytest
from plotly.subplots import make_subplots

from mechlib.report.figures.framed import Framed
from mechlib.report.figures.style import TEMPLATE
from mechlib.report.looks import PLOTLY

LOOKS = PLOTLY.parent
# How far a figure's first thing stands out of its picture, how far it is from the figure's top and from the text above, and how high
# its panel is, in pixels.
ROOM = """(async () => {
    for (let tries = 0; tries < 200 && !document.querySelector(".main-svg .gridlayer path"); tries++)
        await new Promise(done => setTimeout(done, 50));
    await new Promise(done => setTimeout(done, 300));
    const top = selector => Math.min(...[...document.querySelectorAll(selector)].map(each => each.getBoundingClientRect())
        .filter(box => box.height).map(box => box.top));
    const figure = top(".mech-figure"), panel = document.querySelector(".plotly-graph-div")._fullLayout._size.h;
    const first = top(".main-svg text, .main-svg .points path, .main-svg .gridlayer path");
    return {cut: top(".main-svg") - first, first: first - figure, blank: first - document.querySelector("p").getBoundingClientRect().bottom,
            panel};
})()"""


def figure_of(title):
    figure = make_subplots(1, 1, subplot_titles=[title]) if title else go.Figure()
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="markers")
    return figure.update_layout(height=300, template=TEMPLATE)


def room(browser, folder, title, width):
    scripts = "".join(f"<script>{path.read_text(encoding='utf-8')}</script>" for path in (PLOTLY, LOOKS / "book.js"))
    page = folder / "page.html"
    page.write_text(f'''<!DOCTYPE html><meta charset="utf-8"><meta name="viewport" content="width=device-width">
        <style>{(LOOKS / "book.css").read_text(encoding="utf-8")}</style>
        <body><p>Before.</p>{Framed(figure_of(title), 1, "one", "One panel", {}).html}{scripts}''', encoding="utf-8")
    tab = browser.tab(width)
    tab.open(page.as_uri())
    found = tab.ask(ROOM)
    assert tab.errors == []
    return found


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("title", ["", "one line", "a first line<br>and a second"], ids=["no title", "one line", "two lines"])
def test_above_a_figure_is_no_more_room_than_it_needs(browser, tmp_path, width, title):
    found = room(browser, tmp_path, title, width)
    assert found["cut"] <= 0 and found["first"] <= 12 and found["blank"] <= 30


@pytest.mark.parametrize("width", [390, 1280])
def test_a_panel_is_as_high_whether_it_has_a_title_or_none(browser, tmp_path, width):
    """What is taken away above a figure is taken from the figure, and not given to its panels."""
    one, other = (room(browser, tmp_path, title, width)["panel"] for title in ("", "one line"))
    assert abs(one - other) <= 3 and min(one, other) > 200
