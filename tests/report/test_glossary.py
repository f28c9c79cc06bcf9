"""The glossary: every heading and axis that a committed page prints is a measure with a direction, or a label."""

import html
import json
import re

import pytest
from small_book import ROOT

from mechlib.attacks.registry import ATTACKS
from mechlib.facts import FORMATS
from mechlib.localize.registry import localizer, valid_keys
from mechlib.report.book_studies import declared_studies
from mechlib.report.front_text import BRIEFLY
from mechlib.report.glossary import Measures, glossary, measures
from mechlib.report.typed import TypedError, read_typed

FILE = ROOT / "book" / "measures.toml"
PAGES = sorted((ROOT / "book" / "results").glob("*/*/*.ipynb"))


def printed(page):
    """The headings of a page's tables and the titles of its axes."""
    found = set()
    for cell in json.loads(page.read_text())["cells"]:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            text = "".join(data.get("text/html", ""))
            found |= {html.unescape(one).strip() for one in re.findall(r'<th[^>]*class="col_heading[^>]*>(.*?)</th>', text, re.DOTALL)}
            layout = data.get("application/vnd.plotly.v1+json", {}).get("layout", {})
            axes = [value for name, value in layout.items() if re.match("[xy]axis", name)]
            found |= {axis["title"]["text"] for axis in axes if (axis.get("title") or {}).get("text")}
    return found


def named():
    """Headings that name a format, a localization, an attack, a model, or a study's facts and where they were asked about: the caption
    says what was measured.
    """
    labels = {form.label for form in FORMATS.values()} | {attack.label for attack in ATTACKS.values()}
    labels |= {page.parent.parent.name for page in PAGES}  # models, side by side
    labels |= {f"{study.title}, {where}" for study in declared_studies() for where in BRIEFLY.values()}
    return labels | {localizer(key).label for key in valid_keys(())}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_every_measure_that_a_page_prints_is_in_the_glossary(page):
    known = {text for one in measures().measure for text in one.printed} | set(measures().labels) | named()
    plain = {re.sub(r" \(void: .*\)$", "", text) for text in printed(page)}
    minus = {text for text in plain if text.endswith(" minus") and text.removesuffix(" minus") in named()}
    assert sorted(plain - minus - known) == []


def test_pages_print_measures():
    found = set().union(*map(printed, PAGES))
    assert {"forget", "verdict", "loss change, prose", "norm of the change"} <= found


def test_the_glossary_says_which_way_is_good():
    table = glossary(measures())
    assert list(table.measure) == sorted(table.measure, key=str.lower) and len(table) == len(measures().measure)
    good = dict(zip(table.measure, table.good, strict=True))
    assert (good["forget"], good["maintain"], good["p"]) == ("lower is better", "higher is better", "neither: it describes")


@pytest.mark.parametrize(("line", "instead", "said"), [
    ('good = "lower"', 'good = "down"', "good"), ('printed = ["seconds"]', 'printed = ["runs"]', "explained twice: runs"),
    ('name = "seconds"', 'name = "steps"', "explained twice"), ('unit = "a word"\n', "", "unit"),
    ("labels = [", "labels = (", "cannot be read"),
])  # fmt: skip
def test_a_wrong_line_is_one_clear_error(tmp_path, line, instead, said):
    text = FILE.read_text()
    assert line in text
    path = tmp_path / "measures.toml"
    path.write_text(text.replace(line, instead, 1))
    with pytest.raises(TypedError) as error:
        read_typed(path, Measures)
    assert said in str(error.value) and "\n" not in str(error.value)
