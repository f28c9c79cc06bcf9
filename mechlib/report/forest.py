"""Forest plots: how much less of the old answer comes back after an edit at fact lookup than after each other, and the verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mechlib.report.figures.style import drawing, empty
from mechlib.report.front import Decided
from mechlib.report.published import printed_relearning, published, published_relearning
from mechlib.report.standing import Standing
from mechlib.report.tables import label
from mechlib.stats import Interval

PANELS = {"transfer": "In prompts that were not trained", "relearning": "After relearning of one half"}
# Blue and orange are told apart by everybody; hollow: no verdict.
COLOURS = {"supported": "#2166AC", "contradicted": "#D6604D", "equivalent": "#762A83"}
_NONE, _STOPPED, _GREY, _RELEARNT = "undecided", "no verdict: a gate", "#7f7f7f", "sports-athlete-editing"
# Nothing forbade a verdict, and there is none.
_OPEN = ("undecided", "undecidable", "no inference")
_LOOKS = {_NONE: "-open", _STOPPED: "-x-open"}
_SYMBOLS = ("circle", "square", "diamond")
# Others' numbers, by the column that has them: what they are, and how they are marked.
_THEIRS = {"released": ("released runs (three larger models)", "x-thin"), "printed": ("printed in the paper", "cross-thin")}


def released_gap(task: str, outcome: str, rival: str) -> float | None:
    """Fact lookup minus another arm in the released runs, in nats; ``None`` where they have no number that can be used.

    ``transfer``: log of the mean probability of the true letter over that of the edit's. ``relearning``: log odds of the mean
    probability of the true answer on the half that was not taught; of athletes only, as the attack on CounterFact trained edit targets.
    """
    arms, shares = [label(key) for key in ("fact_lookup", rival)], list[tuple[float, float]]()
    if outcome == "transfer" and task in ("sports-athlete-editing", "counterfact-editing"):
        lines: Any = published(task, ["fact_lookup", rival]).set_index("localization")
        shares = [(lines["letter choice: true"].get(arm, math.nan), lines["letter choice: edit"].get(arm, math.nan)) for arm in arms]
    elif outcome == "relearning" and task == _RELEARNT:
        back: Any = published_relearning(task).set_index("localization")["forget relearned"]
        shares = [(back.get(arm, math.nan), 1 - back.get(arm, math.nan)) for arm in arms]
    else:
        return None
    if any(not share > 0 for pair in shares for share in pair):
        return None
    first, second = (math.log(true) - math.log(other) for true, other in shares)
    return first - second


def printed_gap(task: str, outcome: str, rival: str) -> float | None:
    """Fact lookup minus another arm by the numbers that the paper prints, in nats; ``None`` where it prints none for the arm."""
    shares = [printed_relearning(task, key) if outcome == "relearning" else None for key in ("fact_lookup", rival)]
    if shares[0] is None or shares[1] is None:
        return None
    first, second = (math.log(share / (1 - share)) for share in (shares[0], shares[1]))
    return first - second


def gaps(found: Sequence[Decided]) -> pd.DataFrame:
    """A line a comparison that was run: ``about``, ``outcome``, ``arm``, ``gap``, ``low``, ``high``, ``verdict``; others' numbers last."""
    records: list[dict[str, Any]] = []
    for one in found:
        claim = one.standing.claim
        for line in one.standing.lines:
            if line.odds:
                gap, arm = line.odds.difference, label(line.rival).replace("_", " ")
                records.append({"about": one.about, "outcome": claim.outcome, "arm": arm, "gap": gap.estimate,
                                "low": gap.low, "high": gap.high, "verdict": line.verdict,
                                "released": released_gap(claim.task, claim.outcome, line.rival),
                                "printed": printed_gap(claim.task, claim.outcome, line.rival)})  # fmt: skip
    return pd.DataFrame(records, columns=["about", "outcome", "arm", "gap", "low", "high", "verdict", *_THEIRS])


# What the plot of a page's claims shows.
OF_A_PAGE = (
    "Fact lookup minus each other edit in log p(true answer) - log p(edit target), in nats (left of zero: less comes back after fact "
    "lookup), with 95 % intervals over forget sets, coloured by verdict; crossed out: a gate or too much overlap forbids one. Slanted "
    "crosses: the same difference in the authors' released runs of larger models; upright ones: in the numbers that the paper prints; "
    "each where there are any."
)


def of_page(found: Sequence[Standing], outcome: str) -> list[Decided]:
    """A page's claims about an outcome, each called by its key: what its forest plot is drawn from."""
    return [Decided(one, None, None, one.claim.key) for one in found if one.claim.outcome == outcome]


@drawing
def forest(found: Sequence[Decided], panels: Mapping[str, str] = MappingProxyType(PANELS)) -> go.Figure:
    """The gaps of claims with their 95 % intervals, a panel an outcome (with its title), a symbol a task or claim, coloured by verdict."""
    table = gaps(found)
    if table.empty:
        return empty("No comparison of these claims was run.")
    arms, tasks = list(dict.fromkeys(table.arm))[::-1], list(dict.fromkeys(table.about))
    figure = make_subplots(1, len(panels), subplot_titles=list(panels.values()), shared_yaxes=True, horizontal_spacing=0.04)
    named: set[str] = set()
    for number, outcome in enumerate(panels, start=1):
        panel: Any = table[table.outcome == outcome]
        for line in panel.to_dict("records"):
            place = arms.index(line["arm"]) + 0.3 * ((len(tasks) - 1) / 2 - tasks.index(line["about"]))
            _draw(figure, line, place, _SYMBOLS[tasks.index(line["about"]) % len(_SYMBOLS)], len(tasks) > 1, number, named)
        figure.add_vline(x=0, line_color=_GREY, line_width=1, row=1, col=number)  # pyright: ignore[reportArgumentType]
    figure.update_yaxes(tickvals=list(range(len(arms))), ticktext=arms, range=[-0.6, len(arms) - 0.4])
    figure.update_xaxes(title_text="nats")
    height = 190 + 30 * max(1, len(arms)) * (1 if len(tasks) < 2 else 1.3)
    return figure.update_layout({"height": height, "margin": {"l": 10, "r": 10, "t": 40, "b": 110}})  # fmt: skip


def _draw(figure: go.Figure, line: Any, place: float, symbol: str, several: bool, column: int, named: set[str]) -> None:
    verdict = line["verdict"] if line["verdict"] in COLOURS else _NONE if line["verdict"] in _OPEN else _STOPPED
    colour, what = COLOURS.get(verdict, _GREY), line["about"]
    name = f"{verdict}, {what}" if several else verdict
    found = Interval(line["gap"], line["low"], line["high"])
    about = f"{line['arm']}, {what}<br>{found} nats<br>{line['verdict']}<extra></extra>"
    figure.add_scatter(
        x=[line["gap"]], y=[place], name=name, legendgroup=name, showlegend=name not in named, mode="markers",
        marker={"symbol": symbol + _LOOKS.get(verdict, ""), "color": colour, "size": 10, "line": {"width": 2}},
        error_x={"type": "data", "symmetric": False, "array": [line["high"] - line["gap"]], "arrayminus": [line["gap"] - line["low"]],
                 "color": colour, "thickness": 1.5, "width": 4}, hovertemplate=about, row=1, col=column,
    )  # fmt: skip
    named.add(name)
    for source, (theirs, mark) in _THEIRS.items():
        if line[source] is not None and line[source] == line[source]:
            figure.add_scatter(
                x=[line[source]], y=[place], name=theirs, legendgroup=theirs, showlegend=theirs not in named, mode="markers",
                marker={"symbol": mark, "size": 9, "line": {"width": 2, "color": "#000000"}},
                hovertemplate=f"{theirs}: {line['arm']}, {what}<br>%{{x:.2f}} nats<extra></extra>", row=1, col=column,
            )  # fmt: skip
            named.add(theirs)
