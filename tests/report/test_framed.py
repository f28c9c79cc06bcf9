"""The figure contract: number, caption, alternative text from the data, the data themselves, runs, code, and a narrow layout."""

import json
import re
from base64 import b64decode
from html.parser import HTMLParser

import pandas as pd
import plotly.graph_objects as go
import pytest
from drawing import answers
from plotly.subplots import make_subplots

from mechlib.report import figures
from mechlib.report.figures.alternative import alternative
from mechlib.report.figures.data import table
from mechlib.report.figures.framed import Framed
from mechlib.report.figures.narrow import narrow


def bars():
    figure = go.Figure(go.Bar(x=["a<br>b", "c"], y=[0.25, 0.75], name="true", error_y={"array": [0.1, 0.2], "arrayminus": [0.05, 0.5]}))
    return figure.update_layout(yaxis_title="share", height=300)


def panels(count):
    figure = make_subplots(rows=1, cols=count, subplot_titles=[f"panel {number}" for number in range(count)], shared_yaxes=True)
    for number in range(count):
        figure.add_scatter(x=[1, 2], y=[number, 3.5], name="line", mode="lines", row=1, col=number + 1, showlegend=number == 0)
    return figure.update_layout(height=300)


class Parts(HTMLParser):
    """Elements with their attributes, and the text of each kind."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.open, self.text = [], [], {}
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        for tag in self.open:
            self.text[tag] = self.text.get(tag, "") + data

    def one(self, tag, **wanted):
        (found,) = [attrs for name, attrs in self.elements if name == tag and wanted.items() <= attrs.items()]
        return found


def framed(figure, caption="What `code` gives", **runs):
    return Framed(figure, 3, "shares", caption, runs)


def test_the_table_of_bars_has_their_intervals_and_plain_names():
    assert table(bars()).to_dict("list") == {
        "series": ["true"] * 2, "at": ["a b", "c"], "value": [0.25, 0.75], "low": [0.2, 0.25], "high": [0.35, 0.95],
    }  # fmt: skip


def test_the_table_of_a_map_has_a_line_a_cell_and_none_where_it_is_blank():
    figure = go.Figure(go.Heatmap(z=[[1.0, None], [3.0, 4.0]], x=["p", "q"], y=["one", "two"], customdata=[["n", "m"], ["k", "l"]]))
    assert table(figure).to_dict("list") == {
        "series": ["one", "two", "two"], "at": ["p", "p", "q"], "value": [1.0, 3.0, 4.0], "note": ["n", "k", "l"],
    }  # fmt: skip


def test_the_table_of_sideways_marks_names_their_lines():
    found = pd.DataFrame([{"localization": key, "measure": measure, "share": share, "low": 0.0, "high": 1.0}
                          for key in ("fact_lookup", "random_mlps") for measure, share in (("m", 0.25), ("n", 0.75))])  # fmt: skip
    shown = table(figures.interval_dots(found, "share of facts"))
    assert list(zip(shown.series, shown["at"], shown.value, strict=True)) == [
        ("m", "Fact lookup", 0.25), ("m", "Random MLPs", 0.25), ("n", "Fact lookup", 0.75), ("n", "Random MLPs", 0.75),
    ]  # fmt: skip


def test_the_table_of_panels_names_them():
    assert list(table(panels(2)).panel) == ["panel 0"] * 2 + ["panel 1"] * 2


def test_alternative_text_says_what_is_compared_and_the_extremes():
    assert alternative(bars()) == "Bars: share. Compared: true. Highest 0.75 (true, c), lowest 0.25 (true, a b)."
    assert alternative(panels(2)).endswith(
        "panel 0: Highest 3.50 (line, 2), lowest 0.00 (line, 1). panel 1: Highest 3.50 (line, 2), lowest 1.00 (line, 1)."
    )
    assert alternative(figures.score_map([], [])) == "Empty: no localization here is chosen by scores of components."


def test_alternative_text_changes_with_the_data():
    higher = bars().update_traces(y=[0.25, 0.5])
    assert alternative(higher) != alternative(bars())


def test_a_figure_has_all_that_belongs_to_it():
    parts = Parts(framed(figures.format_accuracies(answers(), []), answers=["0123456789ab", "fedcba987654"]).html)
    assert parts.one("figure")["id"] == "fig-shares"
    assert parts.one("a", href="#fig-shares")["class"] == "mech-number"
    assert parts.text["figcaption"] == "Figure 3. What code gives."
    assert parts.one("div", role="img")["aria-label"].startswith("Bars: accuracy.")
    csv = parts.one("a", download="shares.csv")["href"]
    assert b64decode(csv.partition(",")[2]).decode().splitlines()[0] == "at,value,low,high"
    assert parts.one("a", href="code:mechlib.report.figures.facts")
    assert parts.text["li"] == "answers: 01234567, fedcba98"
    assert "One-shot statement" in parts.text["td"]


def test_the_data_beside_a_figure_have_two_decimals_and_counts_their_separators():
    gaps = go.Figure(go.Bar(x=["a", "b"], y=[-1.1, -0.001], error_y={"array": [0.54, 0.2], "arrayminus": [0.57, 0.003]}))
    assert re.findall(r"<td>(.*?)</td>", framed(gaps).html) == ["a", "-1.10 [-1.67, -0.56]", "b", "0.00 [0.00, 0.20]"]
    sizes = go.Figure(go.Scatter(x=[1000, 20], y=[0.5, 0.00012]))
    assert re.findall(r"<td>(.*?)</td>", framed(sizes).html) == ["1,000", "0.50", "20", "1.2e-4"]
    counts = go.Figure(go.Scatter(x=[0.25, 1], y=[1151, 2]))
    assert re.findall(r"<td>(.*?)</td>", framed(counts).html) == ["0.25", "1,151", "1", "2"]


def test_what_the_script_draws_is_the_figure_and_ends_no_script():
    parts = Parts(framed(bars().update_layout(title="</script><b>")).html)
    drawn = json.loads(parts.text["script"])
    assert drawn["data"][0]["x"] == ["a<br>b", "c"]
    assert drawn["layout"]["height"] == 300
    assert drawn["narrow"]["legend.orientation"] == "v"
    assert "<" not in re.search(r"<script[^>]*>(.*?)</script>", framed(bars()).html)[1]


def test_a_terminal_is_told_the_alternative_text_and_the_laboratory_the_caption():
    bundle = framed(bars()).bundle
    assert bundle["text/plain"] == alternative(bars())
    assert bundle["application/vnd.plotly.v1+json"]["layout"]["title"]["text"] == "Figure 3. What code gives"


@pytest.mark.parametrize("count", [2, 3])
def test_narrow_panels_stand_under_each_other(count):
    changes = narrow(panels(count))
    names = [("" if number == 0 else str(number + 1)) for number in range(count)]
    domains = [changes[f"yaxis{name}.domain"] for name in names]
    assert domains[0][1] == 1 and domains[-1][0] == pytest.approx(0)
    assert all(upper[0] > lower[1] for upper, lower in zip(domains, domains[1:], strict=False))
    assert all(changes[f"xaxis{name}.domain"] == [0, 1] and changes[f"yaxis{name}.showticklabels"] for name in names)
    assert [changes[f"annotations[{number}].y"] for number in range(count)] == [domain[1] for domain in domains]
    assert changes["height"] > count * 200


def test_a_narrow_figure_of_one_panel_keeps_its_axes_and_breaks_long_names():
    figure = go.Figure(go.Heatmap(z=[[1.0]], x=["p"], y=["Attribution patching (MLPs)"]))
    assert narrow(bars())["height"] == 300
    assert not any("domain" in name for name in narrow(bars()))
    assert narrow(figure)["yaxis.ticktext"] == ["Attribution<br>patching (MLPs)"]


NAMES = ["Attribution patching (MLPs)", "Causal tracing (MLPs)", *(f"MLPs, window {number} of 9" for number in range(1, 8))]


@pytest.mark.parametrize("columns", [1, 2])
def test_names_of_two_lines_do_not_touch_on_a_narrow_screen(columns):
    """Nine names of two lines of 15 pixels: their panel is 270 high, or as high as it was if that is more."""
    figure = make_subplots(1, columns, shared_yaxes=True)
    for column in range(1, columns + 1):
        figure.add_scatter(x=[0] * 9, y=list(range(9)), row=1, col=column)
    figure.update_yaxes(tickvals=list(range(9)), ticktext=NAMES).update_layout(height=200, margin={"t": 30, "b": 50}, showlegend=False)
    changes = narrow(figure)
    assert {name.count("<br>") for name in changes["yaxis.ticktext"]} == {1}
    if columns == 1:
        assert changes["height"] == 9 * 2 * 15 + 80 and narrow(figure.update_layout(height=600))["height"] == 600
    else:
        low, high = changes["yaxis.domain"]
        assert (high - low) * (2 * 270 + 95) == pytest.approx(270) and changes["height"] == 80 + 2 * 270 + 95


def test_what_was_found_is_the_title_of_a_figure_and_no_markup():
    figure = Framed(bars(), 3, "shares", "What `code` gives", {}, "Most is < all")
    html, lab = figure.html, figure.bundle["application/vnd.plotly.v1+json"]
    assert 'Figure 3.</a> <strong class="mech-found">Most is &lt; all.</strong> What <code>code</code> gives.' in html
    assert lab["layout"]["title"]["text"].startswith("Figure 3. Most is &lt; all. What code gives")
    assert "mech-found" not in framed(bars()).html
    assert framed(bars()).bundle["application/vnd.plotly.v1+json"]["layout"]["title"]["text"] == "Figure 3. What code gives"
