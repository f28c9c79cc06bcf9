"""Evidence over layers, heads and positions, and what localizations make of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mechlib.components import Component, Kind, Localization
from mechlib.patching.pairs import POSITIONS
from mechlib.patching.scores import Scores
from mechlib.report.aggregation import Rows
from mechlib.report.figures.style import COLOURS, MUTED, OUTCOMES, colour, drawing, empty
from mechlib.report.tables import label


@drawing
def probe_curves(rows: Rows, chosen: Sequence[int]) -> go.Figure:
    """Probe accuracy over layers at the subject's and the prompt's last token, with the chosen layers shaded."""
    frame = pd.DataFrame(list(rows))
    figure = go.Figure()
    if chosen:
        # What a layer writes is read where the next layer starts: the window covers the writing layers.
        figure.add_vrect(min(chosen), max(chosen) + 1, fillcolor=COLOURS["fact_lookup"], opacity=0.2, line_width=0,
                         annotation_text="fact lookup")  # fmt: skip
    for position, tint in zip(("subject", "prompt"), OUTCOMES, strict=False):
        part = frame[frame.position == position]
        name = f"last token of the {position}"
        figure.add_scatter(x=part.layer, y=part.correct / part.total, name=name, line_color=tint, mode="lines+markers")
    control = frame[frame.position == "subject"]
    figure.add_scatter(x=control.layer, y=control.control_correct / control.total, name="control: shuffled labels",
                       line={"color": MUTED, "dash": "dot"})  # fmt: skip
    axis = {"title": "held-out accuracy", "range": [0, 1.02]}
    return figure.update_layout(xaxis_title="residual stream entering layer", yaxis=axis, height=420)


@drawing
def score_map(scores: Sequence[Scores], titles: Sequence[str]) -> go.Figure:
    """Heat map of scores, layers across and heads and MLP down, one panel a method; without any it says so."""
    if not scores:
        return empty("no localization here is chosen by scores of components")
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
    figure.update_xaxes(title_text="layer", row=len(scores), col=1)
    return figure.update_layout(height=20 + 290 * len(scores))


# Kind, name, symbol and height in its line: keys and values lie below heads, because a layer may have both.
_MARKS: tuple[tuple[Kind, str, str, float], ...] = (
    ("mlp", "MLP", "square", 0.16), ("neuron", "neurons", "square-open", 0.16), ("attn", "attention", "diamond", -0.16),
    ("head", "heads", "diamond-open", -0.16), ("kv", "keys and values", "triangle-down-open", -0.38),
)  # fmt: skip


def _by_layer(localization: Localization, kind: Kind, most: int = 8) -> dict[int, str]:
    """What a localization has of a kind in each layer, in words: the names of up to ``most`` components, or how many there are."""
    held: dict[int, list[str]] = {}
    for component in localization.components:
        if component.kind == kind:
            held.setdefault(component.layer, []).append(str(component))
    return {layer: ", ".join(names) if len(names) <= most else f"L{layer}, {len(names)} {kind}s" for layer, names in held.items()}


@drawing
def localization_map(found: Mapping[str, Localization], n_layers: int) -> go.Figure:
    """Which components each localization trains: one line a method, MLPs above attention layers, open marks for parts of either."""
    figure = go.Figure()
    names = [label(key.split("/")[0]) + (f" (set {key.split('/')[1]})" if "/" in key else "") for key in found]
    for kind, title, symbol, shift in _MARKS:
        held = {key: _by_layer(one, kind) for key, one in found.items()}
        first = next((key for key, layers in held.items() if layers), None)
        for row, (key, layers) in enumerate(held.items() if first else ()):
            figure.add_scatter(
                x=list(layers), y=[len(names) - 1 - row + shift] * len(layers), mode="markers", customdata=list(layers.values()),
                marker={"symbol": symbol, "size": 11, "color": colour(key.split("/")[0])},
                name=title, legendgroup=kind, showlegend=key == first, hovertemplate=f"{names[row]}: %{{customdata}}<extra></extra>",
            )  # fmt: skip
    return figure.update_layout(
        xaxis={"title": "layer", "dtick": 1, "range": [-0.6, n_layers - 0.4]},
        yaxis={"tickvals": list(range(len(names))), "ticktext": names[::-1]},
        height=130 + 38 * len(names),
    )


@drawing
def position_map(scores: Scores, title: str) -> go.Figure:
    """Heat map of effects by layer and class of token position, one panel for attention and one for MLPs."""
    parts: list[tuple[Kind, str]] = [("attn", "attention"), ("mlp", "MLP")]
    parts = [part for part in parts if any(component.kind == part[0] for component in scores.positions)]
    figure = make_subplots(rows=len(parts), cols=1, subplot_titles=[f"{title}: {name}" for _, name in parts], vertical_spacing=0.16)
    largest = max(abs(value) for at in scores.positions.values() for value in at.values())
    for number, (kind, name) in enumerate(parts, start=1):
        found = {component.layer: at for component, at in sorted(scores.positions.items()) if component.kind == kind}
        cells = [[at[position] for at in found.values()] for position in POSITIONS]
        figure.add_heatmap(
            z=cells, x=list(found), y=list(POSITIONS), colorscale="RdBu", zmid=0, zmin=-largest, zmax=largest, showscale=number == 1,
            row=number, col=1, hovertemplate=f"layer %{{x}}, {name} at %{{y}}: %{{z:.3f}}<extra></extra>",
        )  # fmt: skip
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(title_text="layer", dtick=1, row=len(parts), col=1)
    return figure.update_layout(height=80 + 230 * len(parts))


@drawing
def path_effects(stream: Scores, chosen: Mapping[str, Sequence[int]], n_layers: int, threshold: float) -> go.Figure:
    """Effect of each MLP on the stream that the extraction heads read, less the last layer's, with what each rule chooses."""
    layers = [component.layer for component in sorted(stream.values)]
    baseline = stream.values.get(Component(n_layers - 1, "mlp"), 0.0)
    values = [stream.values[Component(layer, "mlp")] - baseline for layer in layers]
    figure = go.Figure(go.Bar(x=layers, y=values, marker_color=MUTED, name="effect of the MLP"))
    for (rule, picked), symbol, tint in zip(chosen.items(), ("circle", "diamond-open"), OUTCOMES, strict=False):
        figure.add_scatter(
            x=list(picked), y=[values[layers.index(layer)] for layer in picked], mode="markers", name=f"chosen by the {rule} rule",
            marker={"symbol": symbol, "size": 13, "color": tint, "line": {"width": 2}},
        )  # fmt: skip
    for level in (threshold, -threshold):
        figure.add_hline(level, line_dash="dot", line_width=1)
    return figure.update_layout(xaxis={"title": "layer", "dtick": 1}, yaxis_title="share of the logit difference", height=380)
