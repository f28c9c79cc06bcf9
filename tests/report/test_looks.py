"""How the book looks: what a page loads, colours that can be told apart, formulas and citations."""

import json
import re
from itertools import combinations

import numpy as np
import pytest
from plotly.offline import get_plotlyjs_version
from pybtex.database import Entry, Person

from mechlib.report.figures.planted import shades
from mechlib.report.figures.style import COLOURS, OUTCOMES
from mechlib.report.forest import COLOURS as VERDICTS
from mechlib.report.looks import PLOTLY, icons, lighter, linked, roomy, runs
from mechlib.report.looks.citations import Labels, label
from mechlib.report.looks.formulas import mathml
from mechlib.report.looks.links import resolved
from mechlib.runs.store import write_archive

HEAD = """<head>
<link rel="preload" as="font" type="font/woff2" crossorigin href="../vendor/fontawesome/6.5.2/webfonts/fa-solid-900.woff2" />
<link rel="preload" as="script" href="../scripts/bootstrap.js" />
<link rel="preload" as="font" href="../vendor/fontawesome/6.5.2/webfonts/fa-brands-400.woff2" />
<script src="../vendor/fontawesome/6.5.2/js/all.min.js?digest=1"></script>
<script>const THEBE_JS_URL = "https://elsewhere/index.js"; const thebe_selector = ".cell"</script>
<script async="async" src="../_static/sphinx-thebe.js?v=1"></script>
<script>const THEBE_JS_URL = "https://elsewhere/index.js"; const thebe_selector = ".cell"</script>
<script>var DOCUMENTATION_OPTIONS = {};</script>
</head>"""


def test_a_page_loads_nothing_that_it_does_not_need():
    kept = lighter(HEAD)
    assert re.findall(r"<(?:script|link)[^>]*>", kept) == [
        '<link rel="preload" as="script" href="../scripts/bootstrap.js" />', "<script>",
    ]  # fmt: skip
    assert "DOCUMENTATION_OPTIONS" in kept and "THEBE" not in kept


def test_cells_of_long_text_say_so_and_others_are_left_alone():
    long, longer = "word " * 13, "word " * 70
    page = f'<tr><th>{longer}</th><td class="a">{long}</td><td><b>{longer}</b></td><td><a href="{longer}">short</a></td></tr>'
    assert re.findall(r"<td[^>]*?(?= href|>)", roomy(page)) == ['<td data-long="" class="a"', '<td data-long="very"', "<td"]
    assert roomy(roomy("<td>short</td>")) == "<td>short</td>" and re.sub(r' data-long="\w*"', "", roomy(page)) == page


def test_an_interval_in_a_cell_is_not_broken_and_what_stands_elsewhere_is_left_alone():
    page = '<p>0.1 [-0.5, 0.7]</p><tr><td title="[1, 2]">0.1 [-0.5, 0.7] and [0.25, 3]</td><td>[one, 2]</td></tr>'
    whole = '<span class="mech-whole">[-0.5, 0.7]</span> and <span class="mech-whole">[0.25, 3]</span>'
    assert roomy(page) == page.replace("[-0.5, 0.7] and [0.25, 3]", whole)


def test_a_cell_of_short_lines_keeps_them():
    assert roomy("<td>edited 1.00 and 0.90\nkept 0.9 and 0.8</td>").startswith('<td data-long="lines">')
    assert roomy(f"<td>{'word ' * 20}\nshort</td>").startswith('<td data-long="">')


@pytest.mark.parametrize("module", ["forest", "figures.facts"])
def test_a_figure_leads_to_the_code_that_draws_it_wherever_that_is(module):
    page = f'<a href="code:mechlib.report.{module}"><code>it</code></a> <a href="a.html">a</a>'
    assert linked(page, "../{}".format) == f'<a href="../_static/code/{module}.txt"><code>it</code></a> <a href="a.html">a</a>'


def test_the_part_of_plotly_is_of_the_version_that_draws():
    text = PLOTLY.read_text(encoding="utf-8")
    assert f"plotly.js (cartesian - minified) v{get_plotlyjs_version()}" in text[:200]
    assert "MIT license" in text[:200]
    assert len(text) < 1_600_000


# Machado, Oliveira and Fernandes (2009), full severity, on linear light.
SEEN = {
    "as it is": np.eye(3),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour):
    values = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(light):
    x, y, z = np.cbrt(np.clip(TO_XYZ @ np.clip(light, 0, 1) / TO_XYZ.sum(axis=1), 1e-6, None))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eyes", SEEN)
@pytest.mark.parametrize("colours", [tuple(COLOURS.values()), OUTCOMES], ids=["localizations", "outcomes"])
def test_colours_can_be_told_apart(colours, eyes):
    seen = {colour: lab(SEEN[eyes] @ linear(colour)) for colour in colours}
    # A just noticeable difference is about 2.3.
    assert [pair for pair in combinations(colours, 2) if np.linalg.norm(seen[pair[0]] - seen[pair[1]]) < 12] == []


PLACES = ["#" + "".join(f"{int(part):02x}" for part in re.findall(r"\d+", shade)) for count in (1, 2, 8, 14) for shade in shades(count)]


@pytest.mark.parametrize("colour", [*COLOURS.values(), *OUTCOMES, *VERDICTS.values(), *PLACES])
def test_colours_are_seen_on_white_and_on_black(colour):
    light = float(TO_XYZ[1] @ linear(colour))
    for page in (1.0, float(TO_XYZ[1] @ linear("#121212"))):
        assert (max(light, page) + 0.05) / (min(light, page) + 0.05) > 2


def test_no_outcome_has_the_colour_of_a_localization():
    assert set(COLOURS.values()).isdisjoint(OUTCOMES)
    assert len(set(COLOURS.values())) == len(COLOURS)


def test_a_formula_is_mathml():
    found = mathml(r"\frac{a}{b}", block=True)
    assert found.startswith("<math") and "<mfrac>" in found and "display" in found


def entry(year, *names):
    return Entry("misc", {"year": str(year), "title": "T"}, {"author": [Person(name) for name in names]})


def test_references_are_called_by_names():
    assert label(entry(2025, "Guo, Phillip", "Syed, A.", "Ewart, A.")) == "Guo et al., 2025"
    assert label(entry(2019, "Hewitt, John", "Liang, Percy")) == "Hewitt and Liang, 2019"
    assert label(entry(1927, "Wilson, E.")) == "Wilson, 1927"
    assert label(Entry("misc", {"title": "Alone"})) == "Alone"


def test_references_of_one_name_and_year_get_letters():
    same = [entry(2023, "Nanda, Neel"), entry(2023, "Nanda, Neel"), entry(2024, "Nanda, Neel")]
    assert list(Labels().format_labels(same)) == ["Nanda, 2023a", "Nanda, 2023b", "Nanda, 2024"]


NAMES = ("quick/05_editing", "quick/20_paper", "full-a/05_editing", "full-b/25_next_door", "full-c/25_next_door")
PAGES = {*(f"book/results/m/{name}" for name in NAMES), "book/results/other/quick/25_next_door", "book/reading"}


@pytest.mark.parametrize(("here", "named", "there"), [
    ("quick/20_paper", "05_editing", "quick/05_editing"), ("full-a/05_editing", "20_paper", "quick/20_paper"),
    ("quick/20_paper", "25_next_door", "full-b/25_next_door"), ("quick/20_paper", "full-a/05_editing", "full-a/05_editing"),
    ("quick/20_paper", "full-b/05_editing", None), ("quick/20_paper", "99_gone", None),
])  # fmt: skip
def test_a_link_to_a_page_leads_there_or_is_its_words(here, named, there):
    html = f'<p>see <a href="page:{named}">the <b>page</b></a>, <a href="https://a/b">another</a></p>'
    found = resolved(html, f"book/results/m/{here}", PAGES, lambda page: f"to:{page}")
    expected = "the <b>page</b>" if there is None else f'<a href="to:book/results/m/{there}">the <b>page</b></a>'
    assert found == f'<p>see {expected}, <a href="https://a/b">another</a></p>'


def test_figures_link_to_what_is_told_of_their_runs_where_they_are_kept(tmp_path):
    about = {"id": "ab" * 10, "label": "an edit", "asked": {"seed": 0}, "manifest": {"commit": "c"}, "value": {"norm": 1.0}, "rows": 1}
    write_archive(tmp_path / "rows" / "edit" / f"{about['id']}.json.gz", about, [{"step": 0}])
    html = '<li><a href="runs:edit">edit</a>: <code>abababab</code></li><li><a href="runs:mask">mask</a></li>'
    found = runs.linked(html, tmp_path / "rows", lambda path: f"../{path}")
    assert found == '<li><a href="../_static/runs/edit.json">edit</a>: <code>abababab</code></li><li>mask</li>'
    assert runs.stages(found) == {"edit"} and runs.stages(html) == set()
    runs.write(tmp_path / "rows", ["edit"], tmp_path / "out")
    (told,) = json.loads((tmp_path / "out" / "edit.json").read_text()).items()
    assert told == (about["id"], {name: about[name] for name in ("id", "label", "asked", "manifest")})


def test_icons_that_nothing_draws_have_no_rule():
    style = '.fa{font-weight:900}.fa-sun:before{content:"\\f185"}.fa-house:before,.fa-home:before{content:"\\f015"}.fa-lg{font-size:1.25em}'
    kept = icons.subset(style, icons.names('<i class="fa-solid fa-home fa-lg"></i>'))
    assert kept == style.replace('.fa-sun:before{content:"\\f185"}', "")
    assert icons.subset(style, set()) == ".fa{font-weight:900}.fa-lg{font-size:1.25em}"


def test_between_the_parts_of_a_table_is_no_space_and_elsewhere_it_stays():
    spaced = "<table>\n  <tr>\n    <td>a <b>b</b> c</td>\n    <td> d</td>\n  </tr>\n</table>\n<p>e</p> <b>f</b>"
    assert lighter(spaced) == "<table><tr><td>a <b>b</b> c</td><td> d</td></tr>\n</table>\n<p>e</p> <b>f</b>"


def test_what_draws_cards_and_tabs_is_loaded_where_there_are_some():
    loads = '<link rel="stylesheet" type="text/css" href="a/sphinx-design.min.css?v=6" /><script src="a/design-tabs.js?v=f"></script>'
    assert lighter(f"<head>{loads}</head>") == "<head></head>"
    assert lighter(f'<head>{loads}</head><div class="a sd-card">') == f'<head>{loads}</head><div class="a sd-card">'
