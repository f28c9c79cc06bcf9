"""Figures. Each takes rows and returns a plotly figure that explains itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mechlib.components import Component, Localization
from mechlib.patching.scores import Scores
from mechlib.report.tables import Rows, label, proportions

# Okabe and Ito's colours, which most colour-blind readers can tell apart; grey is the unedited model.
COLOURS = {
    "unedited": "#7f7f7f",
    "fact_lookup": "#0072B2",
    "causal_tracing": "#D55E00",
    "causal_tracing_mlps": "#E69F00",
    "attribution_patching": "#CC79A7",
    "attribution_patching_mlps": "#B07AA1",
    "random": "#8C8C5A",
    "random_mlps": "#009E73",
    "all_mlps": "#56B4E9",
    "nonlocalized": "#000000",
}
_LAYOUT: dict[str, Any] = {
    "template": "plotly_white",
    "font": {"size": 13},
    "margin": {"l": 70, "r": 20, "t": 60, "b": 60},
    "legend": {"orientation": "h", "y": -0.22},
}


def known_by_answer(rows: Rows, threshold: float) -> go.Figure:
    """Histogram of the probability of the true answer, one colour an answer, with the threshold of what counts as known."""
    frame = pd.DataFrame(list(rows))
    figure = go.Figure()
    for colour, (answer, group) in zip(("#0072B2", "#D55E00", "#009E73", "#CC79A7"), frame.groupby("answer"), strict=False):
        figure.add_histogram(x=group.probability, name=str(answer), xbins={"start": 0, "end": 1, "size": 0.05}, marker_color=colour)
    figure.add_vline(threshold, line_dash="dash", annotation_text="known", annotation_position="top right")
    figure.update_layout(
        barmode="stack", xaxis_title="probability of the true sport among the options", yaxis_title="athletes", height=380, **_LAYOUT
    )
    return figure


def format_accuracies(rows: Rows, void: Sequence[str]) -> go.Figure:
    """Accuracy of the unedited model in each format, with Wilson intervals and the line of chance."""
    table = proportions(rows, ["format"], "correct")
    colours = ["#b0b0b0" if form in void else "#0072B2" for form in table.format]
    names = [label(form).replace(" ", "<br>") + ("<br>(void)" if form in void else "") for form in table.format]
    figure = go.Figure(go.Bar(x=names, y=table.share, marker_color=colours, error_y=_errors(table), showlegend=False))
    figure.add_hline(0.25, line_dash="dot", annotation_text="chance", annotation_position="top right")
    figure.update_layout(yaxis={"title": "accuracy", "range": [0, 1.05]}, height=380, **_LAYOUT)
    return figure


def probe_curves(rows: Rows, chosen: Sequence[int]) -> go.Figure:
    """Probe accuracy over layers at the subject's and the prompt's last token, with the chosen layers shaded."""
    frame = pd.DataFrame(list(rows))
    figure = go.Figure()
    if chosen:
        # What a layer writes is read where the next layer starts: the window covers the writing layers.
        figure.add_vrect(min(chosen), max(chosen) + 1, fillcolor="#0072B2", opacity=0.12, line_width=0, annotation_text="fact lookup")
    for position, colour, text in (("subject", "#0072B2", "last token of the subject"), ("prompt", "#D55E00", "last token of the prompt")):
        part = frame[frame.position == position]
        figure.add_scatter(x=part.layer, y=part.correct / part.total, name=text, line_color=colour, mode="lines+markers")
    control = frame[frame.position == "subject"]
    figure.add_scatter(x=control.layer, y=control.control_correct / control.total, name="control: shuffled labels",
                       line={"color": "#7f7f7f", "dash": "dot"})  # fmt: skip
    figure.update_layout(
        xaxis_title="residual stream entering layer", yaxis={"title": "held-out accuracy", "range": [0, 1.02]}, height=420, **_LAYOUT
    )
    return figure


def score_map(scores: Sequence[Scores], titles: Sequence[str]) -> go.Figure:
    """Heat map of scores, layers across and heads and MLP down, one panel a method."""
    figure = make_subplots(rows=len(scores), cols=1, subplot_titles=list(titles), vertical_spacing=0.16)
    for number, found in enumerate(scores, start=1):
        layers = sorted({component.layer for component in found.values})
        heads = sorted({component.index for component in found.values if component.index is not None})
        lines = [*(f"head {head}" for head in heads), "MLP"]
        cells = [[found.values[Component(layer, "head", head)] for layer in layers] for head in heads]
        cells.append([found.values[Component(layer, "mlp")] for layer in layers])
        figure.add_heatmap(
            z=cells, x=layers, y=lines, colorscale="RdBu", zmid=0, row=number, col=1,
            colorbar={"len": 1 / len(scores), "y": 1 - (number - 0.5) / len(scores)},
            hovertemplate="layer %{x}, %{y}: %{z:.3f}<extra></extra>",
        )  # fmt: skip
    layout: dict[str, Any] = {**_LAYOUT, "margin": {"l": 70, "r": 20, "t": 40, "b": 40}}
    figure.update_layout(height=290 * len(scores), **layout)
    figure.update_xaxes(title_text="layer", row=len(scores), col=1)
    return figure


def localization_map(found: Mapping[str, Localization], n_layers: int) -> go.Figure:
    """Which modules each localization trains: one line a method, MLPs above attention layers."""
    figure = go.Figure()
    names = [label(key.split("/")[0]) + (f" (set {key.split('/')[1]})" if "/" in key else "") for key in found]
    for kind, symbol, shift in (("mlp", "square", 0.16), ("attn", "diamond", -0.16)):
        shown = next((key for key, one in found.items() if any(c.kind == kind for c in one.components)), "")
        for row, (key, localization) in enumerate(found.items()):
            layers = [component.layer for component in localization.components if component.kind == kind]
            figure.add_scatter(
                x=layers, y=[len(names) - 1 - row + shift] * len(layers), mode="markers",
                marker={"symbol": symbol, "size": 11, "color": COLOURS[key.split("/")[0]]},
                name="MLP" if kind == "mlp" else "attention", legendgroup=kind, showlegend=key == shown,
                hovertemplate=f"{names[row]}: layer %{{x}} {kind}<extra></extra>",
            )  # fmt: skip
    layout: dict[str, Any] = {**_LAYOUT, "margin": {"l": 190, "r": 20, "t": 45, "b": 60}, "legend": {"orientation": "h", "y": 1.08}}
    figure.update_layout(
        xaxis={"title": "layer", "dtick": 1, "range": [-0.6, n_layers - 0.4]},
        yaxis={"tickvals": list(range(len(names))), "ticktext": names[::-1]},
        height=80 + 38 * len(names),
        **layout,
    )
    return figure


def learning_curves(rows: Rows) -> go.Figure:
    """The three losses over steps, averaged over forget sets and seeds, one colour a localization."""
    frame = pd.DataFrame(list(rows))
    figure = make_subplots(rows=1, cols=3, subplot_titles=["forget (injected answer)", "retain", "general text"])
    for key, part in frame.groupby("localization", sort=False):
        means: Any = part.groupby("step")[["forget", "retain", "text"]].mean()
        for column, loss in enumerate(("forget", "retain", "text"), start=1):
            figure.add_scatter(
                x=means.index, y=means[loss], name=label(str(key)), legendgroup=str(key), showlegend=column == 1,
                line={"color": COLOURS[str(key)], "width": 3 if key == "fact_lookup" else 1.5}, row=1, col=column,
            )  # fmt: skip
    figure.update_xaxes(title_text="step")
    figure.update_yaxes(title_text="loss (nats)", row=1, col=1)
    figure.update_layout(height=430, **_LAYOUT)
    return figure


def outcome_bars(rows: Rows, outcomes: Mapping[str, tuple[str, str]]) -> go.Figure:
    """Shares of answers by localization: ``outcomes`` maps a title to a group of facts and an outcome of their rows."""
    figure = go.Figure()
    for colour, (title, (group, outcome)) in zip(("#D55E00", "#009E73", "#0072B2"), outcomes.items(), strict=False):
        table = proportions([row for row in rows if row["group"] == group], ["localization"], outcome)
        names = [label(key).replace(" ", "<br>") for key in table.localization]
        figure.add_bar(x=names, y=table.share, name=title, marker_color=colour, error_y=_errors(table))
    layout: dict[str, Any] = {**_LAYOUT, "legend": {"orientation": "h", "y": 1.12}}
    figure.update_layout(barmode="group", yaxis={"title": "share of facts", "range": [0, 1.05]}, height=460, **layout)
    return figure


def transfer_map(rows: Rows, outcome: str, group: str, void: Sequence[str], trained: str) -> go.Figure:
    """Share of an outcome by localization and format; void formats are left blank and say so."""
    table = proportions([row for row in rows if row["group"] == group], ["localization", "format"], outcome)
    formats, arms = list(dict.fromkeys(table.format)), list(dict.fromkeys(table.localization))
    found = {(row["localization"], row["format"]): float(row["share"]) for row in table.to_dict("records")}
    shares = [[None if form in void else found[(arm, form)] for form in formats] for arm in arms]
    texts = [["void" if share is None else f"{share:.2f}" for share in line] for line in shares]
    notes = {**dict.fromkeys(void, "<br>(void: at chance)"), trained: "<br>(trained)"}
    names = [label(form).replace(" ", "<br>") + notes.get(form, "") for form in formats]
    figure = go.Figure(
        go.Heatmap(z=shares, x=names, y=[label(arm) for arm in arms], text=texts, texttemplate="%{text}", colorscale="Blues",
                   zmin=0, zmax=1, colorbar={"title": "share"})
    )  # fmt: skip
    layout: dict[str, Any] = {**_LAYOUT, "margin": {"l": 190, "r": 20, "t": 45, "b": 90}}
    figure.update_layout(yaxis={"autorange": "reversed"}, height=145 + 36 * len(arms), **layout)
    return figure


def _errors(table: pd.DataFrame) -> dict[str, Any]:
    return {
        "type": "data", "symmetric": False, "array": (table.high - table.share).tolist(),
        "arrayminus": (table.share - table.low).tolist(), "thickness": 1, "width": 3,
    }  # fmt: skip
