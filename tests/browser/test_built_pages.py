"""Every page of the committed book in a real browser: wide and narrow, light and dark."""

import pytest
from contrast import DIM, FAINT
from small_book import ROOT

from mechlib.report.parameters import read_pages

# Whether every figure of a page is drawn, after a minute at most, and its fonts are there.
DRAWN = """(async () => {
    const figures = [...document.querySelectorAll(".plotly-graph-div")];
    const drawn = () => figures.every(each => each.querySelector(".main-svg"));
    for (let tries = 0; tries < 1200 && !drawn(); tries++) await new Promise(done => setTimeout(done, 50));
    await document.fonts.ready;
    return drawn();
})()"""
WIDTHS = (1280, 390)
THEMES = ("light", "dark")
# As the theme's own button does, and time for what listens to it.
SET_THEME = """(async () => {
    document.documentElement.dataset.mode = document.documentElement.dataset.theme = "%s";
    await new Promise(done => setTimeout(done, 60));
})()"""
# Of each figure: whether it was drawn, how many points it has, and how far it stands out of the window.
FIGURES = """[...document.querySelectorAll(".plotly-graph-div")].map(each => {
    const points = trace => ["x", "y", "z", "values", "r", "lat"].map(name => trace[name]).find(found => found && found.length !== 0);
    const size = each.querySelector(".main-svg")?.getBoundingClientRect();
    return {drawn: Boolean(size) && size.width > 100 && size.height > 100, data: (each.data || []).filter(points).length,
            wide: size ? Math.round(Math.max(size.right - innerWidth, -size.left)) : 0};
})"""
SCROLLS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
COLOUR = "getComputedStyle(document.body).backgroundColor"
RIBBON = "document.querySelector('.mech-ribbon')?.innerText ?? ''"
ASKED = {"ribbon": RIBBON, "figures": FIGURES, "scrolls": SCROLLS, "colour": COLOUR, "title": "document.title", "dim": DIM,
         "faint": FAINT}  # fmt: skip


@pytest.fixture(scope="module")
def seen(browser, pages):
    """What was seen on each page, by its name, width and theme."""
    found = {}
    tab = browser.tab(WIDTHS[0])
    for width in WIDTHS:
        tab.resize(width)
        for page in pages:
            tab.open(page.as_uri())
            tab.ask(DRAWN)
            for theme in THEMES:
                tab.ask(SET_THEME % theme)
                about = {name: tab.ask(question) for name, question in ASKED.items()}
                found["/".join(page.parts[-3:]), width, theme] = {**about, "errors": list(tab.errors)}
    return found


def bad(seen, wrong):
    return {where: about for where, about in seen.items() if wrong(about)}


def test_every_page_opens_in_both_themes(seen, pages):
    assert len(seen) == len(pages) * len(WIDTHS) * len(THEMES) > 4
    assert bad(seen, lambda about: not about["title"]) == {}
    colours = {(theme, about["colour"]) for (_, _, theme), about in seen.items()}
    assert len(colours) == len({colour for _, colour in colours}) == 2


def test_pages_of_the_quick_profile_have_a_ribbon_and_no_others(seen):
    """Those that show all studies are of none, whichever folder they are in."""
    of_all = {page.name for page in read_pages(ROOT / "book") if {*page.parameters} <= {"MODEL", "PROFILE"}}

    def quick(where):
        _, folder, page = where.split("/")
        return folder.startswith("quick") and page.removesuffix(".html") not in of_all

    assert {quick(where) for where, _, _ in seen} == {True, False}
    assert {where for where, about in seen.items() if bool(about["ribbon"]) != quick(where[0])} == set()


def test_no_page_complains_in_the_console(seen):
    assert {where: about["errors"] for where, about in bad(seen, lambda about: about["errors"]).items()} == {}


def test_every_figure_is_drawn_and_has_data(seen):
    assert sum(len(about["figures"]) for about in seen.values()) > 40
    assert bad(seen, lambda about: not all(figure["drawn"] and figure["data"] for figure in about["figures"])) == {}


def test_nothing_scrolls_sideways(seen):
    assert {where: about["scrolls"] for where, about in bad(seen, lambda about: about["scrolls"] > 0).items()} == {}
    assert bad(seen, lambda about: any(figure["wide"] > 1 for figure in about["figures"])) == {}


def test_all_text_can_be_read_in_both_themes(seen):
    assert {where: about["dim"] for where, about in bad(seen, lambda about: about["dim"]).items()} == {}


def test_all_marks_of_figures_are_seen_in_both_themes(seen):
    assert {where: about["faint"] for where, about in bad(seen, lambda about: about["faint"]).items()} == {}


def test_what_is_wrong_is_seen(browser, tmp_path):
    """The checks above on a page where everything is wrong."""
    page = tmp_path / "page.html"
    page.write_text("""<article><p style="color: #888; background: #999">dim</p><p>clear</p></article>
        <div style="width:3000px">wide</div><div class="plotly-graph-div"></div>
        <svg class="main-svg"><g class="points"><path d="M1,1L2,2L3,0Z" style="fill: #000; fill-opacity: 0; stroke: #fff"/>
        <path d="M1,1L2,2L3,0Z" style="fill: #eee; stroke: #000"/>
        <path d="M1,1L2,2M1,2H2" style="fill: #000; stroke: #eee"/></g></svg>
        <script>console.error("a complaint"); throw new Error("a fault")</script><img src="https://example.org/picture.png">""")
    tab = browser.tab(390)
    tab.open(page.as_uri())
    assert len(tab.errors) == 3 and all(word in " ".join(tab.errors) for word in ("a complaint", "a fault", "picture.png"))
    assert tab.ask(SCROLLS) > 0
    assert tab.ask(DIM) == ["dim"]
    assert tab.ask(FAINT) == ["fill: #000; fill-opacity: 0; stroke: #fff", "fill: #000; stroke: #eee"]
    assert tab.ask(FIGURES) == [{"drawn": False, "data": 0, "wide": 0}]
