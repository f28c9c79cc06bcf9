"""Still pictures of figures: on paper and without scripts every figure of the built book is one, with alternative text."""

import json
import re
import zlib

import plotly.graph_objects as go
import pytest
from plotly.subplots import make_subplots

from mechlib.report import stills as module
from mechlib.report.chromium import program
from mechlib.report.figures.framed import Framed
from mechlib.report.looks import PLOTLY
from mechlib.report.stills import FIGURE, add_stills, pen

LOOKS = PLOTLY.parent
needs_browser = pytest.mark.skipif(program() is None, reason="no Chromium is on the path")
# Of each figure: what is seen of its picture and of what a script draws, and the picture's words; pictures far down are fetched first.
SEEN = """(async () => {
    const all = [...document.querySelectorAll(".mech-figure")];
    const still = figure => figure.querySelector("img.mech-still");
    all.map(still).forEach(each => { if (each) each.loading = "eager"; });
    await Promise.all(all.map(still).map(each => each?.decode().catch(() => {})));
    const seen = each => Boolean(each) && each.getBoundingClientRect().height > 50;
    return all.map(figure => ({still: seen(still(figure)) && still(figure).naturalWidth > 0, words: still(figure)?.alt || "",
                               live: seen(figure.querySelector(".mech-plot")), said: figure.querySelector(".mech-plot").ariaLabel,
                               wide: Math.round(still(figure)?.getBoundingClientRect().right ?? 0)}));
})()"""


def framed(**layout):
    figure = go.Figure(go.Bar(x=["a", "b"], y=[1, 2]), layout={"height": 300, **layout})
    return Framed(figure, 1, "bars", "What <is> there", {}).html


def book(folder, *figures):
    (folder / "html" / "deep").mkdir(parents=True, exist_ok=True)
    (folder / "html" / "deep" / "page.html").write_text("<p>before</p>" + "".join(figures))
    return folder / "html"


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were drawn; drawing itself is left out."""
    titles = []
    monkeypatch.setattr(module, "program", lambda: "chromium")

    def draw(missing, cache):
        for name, still in missing.items():
            titles.append((json.loads(still.source)["layout"].get("title", {}).get("text"), still.small))
            (cache / name).write_text("<svg/>")

    monkeypatch.setattr(module, "_draw", draw)
    return titles


def test_a_figure_of_a_page_is_found_with_its_words_its_height_and_what_is_drawn():
    found = FIGURE.search(framed())
    assert found["words"].startswith("Bars: ") and found["height"] == "300"
    assert json.loads(found["source"])["data"][0]["y"] == [1, 2]


def test_each_figure_is_drawn_once_and_those_that_are_gone_are_forgotten(drawn, tmp_path):
    cache = tmp_path / "stills"
    assert add_stills(book(tmp_path, framed(), framed(title="other")), cache) == ""
    first = [(None, False), (None, True), ("other", False), ("other", True)]
    assert drawn == first and len(list(cache.iterdir())) == 4
    assert add_stills(book(tmp_path, framed(title="other"), framed(title="third")), cache) == ""
    assert drawn == [*first, ("third", False), ("third", True)] and len(list(cache.iterdir())) == 4


def test_a_picture_stands_beside_its_figure_with_the_same_words_and_the_data_are_folded(drawn, tmp_path):
    html = book(tmp_path, framed(title="one"))
    add_stills(html, tmp_path / "stills")
    page = html / "deep" / "page.html"
    text = page.read_text()
    narrow, wide, words = re.search(
        r'</script></div><picture><source media="screen and \(max-width: 500px\)" srcset="([^"]+)">'
        r'<img class="mech-still" src="([^"]+)" alt="([^"]+)"', text,
    ).groups()  # fmt: skip
    assert narrow != wide and all((page.parent / address).resolve().is_file() for address in (narrow, wide))
    assert words == FIGURE.search(text)["words"]
    assert '<details class="mech-data">' in text and text.startswith("<p>before</p>")


def test_without_a_browser_the_tables_stay_and_one_line_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "program", lambda: None)
    html = book(tmp_path, framed())
    before = (html / "deep" / "page.html").read_text()
    said = add_stills(html, tmp_path / "stills")
    assert said.startswith("without a script, figures of the book are tables: no Chromium") and "\n" not in said
    assert (html / "deep" / "page.html").read_text() == before and '<details class="mech-data" open>' in before
    assert add_stills(book(tmp_path), tmp_path / "stills") == ""


@needs_browser
def test_what_is_drawn_is_the_figure_and_text_in_it_is_never_run():
    hostile = json.dumps({"data": [{"type": "bar", "x": ["a", "b"], "y": [1, 2], "marker": {"color": "#123456"}}],
                          "layout": {"height": 200, "title": {"text": '"}); document.title = "run"; ("'}}})  # fmt: skip
    with pen() as draw:
        svg = draw(hostile, 500)
    assert svg.startswith("<svg") and 'width="500" height="200"' in svg
    assert svg.count("rgb(18, 52, 86)") == 2 and "document.title" in svg


@needs_browser
def test_the_picture_for_a_phone_has_its_panels_under_each_other():
    two = make_subplots(1, 2, subplot_titles=["left", "right"])
    for column in (1, 2):
        two.add_bar(x=["a", "b"], y=[1, 2], row=1, col=column)
    source = FIGURE.search(Framed(two.update_layout(height=300), 1, "two", "Two panels", {}).html)["source"]
    with pen() as draw:
        wide, small = draw(source, 720), draw(source, 360, small=True)

    def panels(svg):
        return {float(width) for width in re.findall(r'class="plotclip"><rect width="([\d.]+)"', svg)}

    assert 'width="720" height="300"' in wide and max(panels(wide)) < 360  # of 720
    assert f'width="360" height="{json.loads(source)["narrow"]["height"]}"' in small and min(panels(small)) > 240


@needs_browser
@pytest.mark.parametrize(("width", "narrow"), [(390, True), (1280, False)])
def test_without_scripts_a_phone_gets_the_picture_that_is_made_for_it(browser, tmp_path, width, narrow):
    phone = '<meta name="viewport" content="width=device-width">'
    html = book(tmp_path, f"{phone}<style>{(LOOKS / 'book.css').read_text()}</style>", framed())
    assert add_stills(html, tmp_path / "stills") == ""
    tab = browser.tab(width)
    tab.call("Emulation.setScriptExecutionDisabled", {"value": True})
    tab.open((html / "deep" / "page.html").as_uri())
    taken, small = tab.ask("""(async () => {
        const still = document.querySelector("img.mech-still");
        still.loading = "eager";
        await still.decode();
        return [still.currentSrc.split("/").pop(), document.querySelector("source").srcset.split("/").pop()];
    })()""")
    assert (taken == small) is narrow


@needs_browser
@pytest.mark.parametrize("how", ["without scripts", "on paper"])
def test_every_figure_of_the_book_is_a_picture_with_words(browser, pages, how):
    tab = browser.tab(390)
    if how == "on paper":
        tab.call("Emulation.setEmulatedMedia", {"media": "print"})
    else:
        tab.call("Emulation.setScriptExecutionDisabled", {"value": True})
    figures = []
    for page in pages:
        tab.open(page.as_uri())
        assert tab.errors == [], page
        figures += [(page.parts[-2:], each) for each in tab.ask(SEEN)]
    assert len(figures) > 20
    assert [where for where, each in figures if not each["still"] or each["live"] or each["wide"] > 390] == []
    assert all(len(each["words"]) > 20 and each["words"] == each["said"] for _, each in figures)


@needs_browser
def test_where_scripts_run_no_picture_is_fetched(browser, pages):
    tab = browser.tab(1280)
    page = next(page for page in pages if 'class="mech-still"' in page.read_text())
    tab.open(page.as_uri())
    fetched = tab.ask('performance.getEntriesByType("resource").map(each => each.name).filter(each => each.includes("stills"))')
    assert fetched == []


@needs_browser
def test_what_is_printed_is_the_picture(browser, tmp_path):
    far = "<p style='height:9000px'>what is this far down is fetched when it is printed</p>"
    html = book(tmp_path, f"<style>{(LOOKS / 'book.css').read_text()}</style>", framed(bargap=0.2), far, framed())
    assert add_stills(html, tmp_path / "stills") == ""
    for still in (html / "_static" / "stills").iterdir():
        still.write_text('<svg xmlns="http://www.w3.org/2000/svg" width="90" height="90"><rect width="80" height="80" fill="#123456"/>'
                         '</svg>')  # fmt: skip
    tab = browser.tab(1280)
    tab.open((html / "deep" / "page.html").as_uri())
    tab.print(tmp_path / "page.pdf")
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", (tmp_path / "page.pdf").read_bytes(), re.DOTALL)
    painted = b"".join(zlib.decompressobj().decompress(one) for one in streams if one[:1] == b"x")
    assert len(re.findall(rb"\.0706 \.2039 \.3373 rg", painted)) == 2
