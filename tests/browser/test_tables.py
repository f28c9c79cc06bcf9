"""Tables in a browser: a first column of lines breaks them, and the map of the paper has room for all that it says."""

import pytest

from mechlib.report.looks import PLOTLY, roomy
from mechlib.report.paper import Item, Row, Told
from mechlib.report.paper_table import table

LINES = "Robustness to prompts:\nabstract, (1); figures of letter choice, athletes"
# Of each cell with text: its width, whether text stands out of it, and how far it stands out of the window.
CELLS = """[...document.querySelectorAll("td")].map(each => {
    const range = document.createRange();
    range.selectNodeContents(each);
    const [box, text] = [each.getBoundingClientRect(), range.getBoundingClientRect()];
    return {wide: box.width, out: text.right > box.right + 1, beyond: Math.round(box.right - innerWidth)};
})"""


def cells(browser, folder, width, html):
    style = f"<style>{(PLOTLY.parent / 'book.css').read_text(encoding='utf-8')} body {{ margin: 0 20px; }}</style>"
    page = folder / "page.html"
    phone = '<!DOCTYPE html><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    body = f'<div class="cell_output"><div class="output text_html">{roomy(html)}</div></div>'
    page.write_text(f"{phone}{style}<body>{body}", encoding="utf-8")
    tab = browser.tab(width)
    tab.open(page.as_uri())
    return tab.ask(CELLS)


@pytest.mark.parametrize("width", [390, 720])
def test_a_first_column_of_lines_leaves_room_to_the_others(browser, tmp_path, width):
    others = f"<td>{'word ' * 20}</td>" * 3
    first, *_ = cells(browser, tmp_path, width, f"<table><tr><td>{LINES}</td>{others}</tr></table>")
    assert first["wide"] < width / 2 and not first["out"]


@pytest.mark.parametrize("width", [390, 720])
def test_the_map_needs_no_more_room_than_there_is(browser, tmp_path, width):
    told = Told("mean probability of the true answer", ("Attribution patching (MLPs) 0.123", "Fact lookup 0.456"))
    said = {"shows": "what is shown", "paper": "word " * 20, "released": "none", "why": "for this reason"}
    one = Item(section="Robustness to prompts", place=LINES, pages=["06_prompting"], **said)
    found = cells(browser, tmp_path, width, table([Row(one, told, (told, told))]))
    assert len(found) == 5 and not any(each["out"] or each["beyond"] > 0 for each in found)
