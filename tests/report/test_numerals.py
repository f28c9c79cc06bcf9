"""How numbers become text: each format by hand, and no function of the library writes a share in another way."""

import ast
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from mechlib.report import numerals, page
from mechlib.report.tables import styled
from mechlib.stats import Interval

FEW = "\xa0%"
ROOT = Path(__file__).parents[2]
SOURCES = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
           for path in sorted([*(ROOT / "mechlib" / "report").rglob("*.py"), *(ROOT / "mechlib" / "stats").rglob("*.py"),
                               *(ROOT / "book").glob("*.py")])}  # fmt: skip
# Numbers of the prose that cannot be below zero: shares, norms and levels.
NEVER_NEGATIVE = {"level", "probe_start", "probe_best", "probe_end_best", "redrawn_overlap", "inputs_shared_mixed", "inputs_shared_mlps",
                  "norm_few", "norm_many", "lead_any"}  # fmt: skip


@pytest.mark.parametrize(("share", "digits", "text"), [
    (0.9, 0, "90" + FEW), (1, 0, "100" + FEW), (0.0055, 2, "0.55" + FEW), (-0.001, 0, "0" + FEW), (-0.25, 0, "-25" + FEW),
])  # fmt: skip
def test_a_share_within_a_sentence_is_a_percentage_whose_sign_no_line_breaks_off(share, digits, text):
    assert numerals.percent(share, digits) == text


@pytest.mark.parametrize(("value", "digits", "text"), [
    (0.956, 2, "0.96"), (1, 2, "1.00"), (-0.004, 2, "0.00"), (-0.0, 2, "0.00"), (-0.006, 2, "-0.01"), (-0.004, 3, "-0.004"),
    (-1.1, 2, "-1.10"), (1234.5, 1, "1,234.5"), (-0.3, 0, "0"), (-100.0, 2, "-100.00"),
])  # fmt: skip
def test_a_measure_has_two_decimals_and_its_zero_no_sign(value, digits, text):
    assert numerals.decimal(value, digits) == text


@pytest.mark.parametrize(("value", "text"), [
    (1e-4, "1e-4"), (2.9e-5, "2.9e-5"), (0.001, "1e-3"), (0.0005, "5e-4"), (2.85714e-5, "2.85714e-5"), (0.01, "0.01"), (0.05, "0.05"),
    (0.0, "0"), (3.0, "3"), (1e-12, "1e-12"), (9.99e-3, "9.99e-3"),
])  # fmt: skip
def test_a_learning_rate_is_written_in_one_way(value, text):
    assert numerals.rate(value) == text


def test_the_thousands_of_a_count_are_set_apart():
    assert [numerals.count(number) for number in (0, 999, 1151, 2270592)] == ["0", "999", "1,151", "2,270,592"]


def test_numbers_of_one_kind_are_counts_if_all_are_whole():
    assert numerals.measures([3.0, 1151.0, -0.0]) == ["3", "1,151", "0"]
    assert numerals.measures([3.0, 0.375, 0.00123, -0.00001, 0.0]) == ["3.00", "0.38", "1.2e-3", "-1e-5", "0.00"]


@pytest.mark.parametrize(("form", "value", "text"), [
    ("{:.2f}", -0.001, "0.00"), ("{:+.3f}", 0.0124, "+0.012"), ("{:.0%}", 0.5, "50" + FEW), ("{:,.0f} GB", 12345.6, "12,346 GB"),
    ("{:.2g}", 0.0, "0"), (numerals.rate, 1e-4, "1e-4"),
])  # fmt: skip
def test_a_column_has_a_format_or_a_function(form, value, text):
    assert numerals.column(form)(value) == text


def test_a_cell_without_a_format_is_a_count_a_measure_or_text():
    cells = (1151, np.int64(1151), 0.5, np.float32(-0.001), True, np.bool_(True), "90 %")
    assert [numerals.cell(value) for value in cells] == ["1,151", "1,151", "0.50", "0.00", "True", "True", "90 %"]


def test_an_interval_has_no_signed_zero_at_its_ends_either():
    assert str(Interval(0.04, -0.004, 0.09)) == "0.04 [0.00, 0.09]"
    assert str(Interval(-0.001, -0.0149, -0.0001)) == "0.00 [-0.01, 0.00]"
    assert Interval(-0.0004, -0.0006, -0.0001).text(3) == "0.000 [-0.001, 0.000]"
    assert Interval(-1.1, -1.67, -0.56).text() == "-1.10 [-1.67, -0.56]"


def test_a_table_for_readers_writes_numbers_as_the_book_does():
    frame = pd.DataFrame({"facts": [1151, 7], "gap": [-0.004, math.nan], "loss": [-0.0001, 1.5],
                          "rate": [1e-4, 0.05], "said": ["<b>", "x"]})  # fmt: skip
    html = styled(frame, {"loss": "{:+.3f}", "rate": numerals.rate}).to_html()
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", html)
    assert cells == ["1,151", "0.00", "0.000", "1e-4", "&lt;b&gt;", "7", "-", "+1.500", "0.05", "x"]


def test_no_line_breaks_before_a_percent_sign():
    assert numerals.unbroken("with 95 % intervals, 5\n% of them; 5%, a % b, 3\n%%prose") == (
        f"with 95{FEW} intervals, 5{FEW} of them; 5%, a % b, 3\n%%prose"
    )


def test_a_page_gives_counts_with_separators_and_shares_as_percentages_to_prose_and_captions(monkeypatch):
    glued, shown = {}, []
    monkeypatch.setattr(page, "glue", lambda name, value, display: glued.update({name: value}))
    monkeypatch.setattr(page, "display", lambda bundle, raw: shown.append(bundle["text/html"]))
    one = page.open_page({})
    one.number("n", 1151)
    one.number("steps", 20)
    one.number("effect", -0.25)
    one.share("kept", 0.9)
    assert one.given["n"] == 1151 and glued == {"n": "1,151", "steps": 20, "effect": -0.25, "kept": "90" + FEW}
    one.figure("few", go.Figure(go.Bar(x=["a"], y=[1])), "{kept} of {n} after {steps}, {effect:.1f}")
    assert f"90{FEW} of 1,151 after 20, -0.2." in shown[0]


def written(source):
    """The formats of a module's f-strings and its constant texts."""
    tree = ast.walk(ast.parse(source))
    found = [node for node in tree if isinstance(node, ast.JoinedStr | ast.Constant)]
    values = [value for node in found if isinstance(node, ast.JoinedStr) for value in node.values if isinstance(value, ast.FormattedValue)]
    specs = [one.format_spec.values for one in values if isinstance(one.format_spec, ast.JoinedStr)]
    forms = ["".join(str(part.value) for part in spec if isinstance(part, ast.Constant)) for spec in specs]
    return forms, [node.value for node in found if isinstance(node, ast.Constant) and isinstance(node.value, str)]


@pytest.mark.parametrize("name", [name for name in SOURCES if "numerals" not in name])
def test_no_other_code_writes_shares_measures_or_rates(name):
    specs, texts = written(SOURCES[name])
    assert [spec for spec in specs if spec.endswith("%")] == [] and re.findall(r"\{glue:text\}`\w+:[^`]*%`", SOURCES[name]) == []
    # Of a style a percentage follows a colon, and of the format of a page's column a dot.
    before = r"(?<![:\d])" if name.startswith("mechlib") else r"(?<![:.\d])"
    assert [text for text in texts if re.search(rf"{before}\d+%(?!\w)", text)] == []
    if name.startswith("mechlib"):
        assert [spec for spec in specs if re.fullmatch(r"[+,]*\.[23][fg]|\.\d?e", spec)] == []


@pytest.mark.parametrize("name", [name for name in SOURCES if name.startswith("book")])
def test_no_number_of_the_prose_is_a_zero_with_a_sign(name):
    roles = re.findall(r"\{glue:text\}`(\w+):([^`]*f)`", SOURCES[name])
    assert {key for key, form in roles if "z" not in form} <= NEVER_NEGATIVE
