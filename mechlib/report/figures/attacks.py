"""What attacks bring back: over steps, by setting, and by sampling."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mechlib.report.figures.style import MUTED, colour, drawing, errors
from mechlib.report.robustness import BEFORE, UNEDITED, setting_label, setting_name
from mechlib.report.tables import label

# Panels beside each other.
_ACROSS = 3


@drawing
def relearning_curves(outcomes: pd.DataFrame) -> go.Figure:
    """Share of true answers over the steps of an attack, one panel a setting, one colour a localization; dashed: unedited.

    ``outcomes`` as of :func:`mechlib.report.robustness.outcomes`. Hollow where the model was broken.
    Dotted: never-known facts, averaged over the edited models.
    """
    table: Any = outcomes[outcomes.null == ""]
    settings = [setting for setting in dict.fromkeys(table.setting) if setting != BEFORE]
    n_rows = -(-len(settings) // _ACROSS)
    titles = list(map(setting_label, settings))
    figure = make_subplots(n_rows, min(len(settings), _ACROSS), subplot_titles=titles, shared_yaxes=True, vertical_spacing=0.3 / n_rows)
    for number, setting in enumerate(settings):
        place = {"row": number // _ACROSS + 1, "col": number % _ACROSS + 1}
        panel = table[table.setting.isin([BEFORE, setting])].sort_values("step", kind="stable")
        for key in dict.fromkeys(table.localization):
            part = panel[panel.localization == key]
            line = {"color": colour(key), "width": 3 if key == "fact_lookup" else 1.5, "dash": "dash" if key == UNEDITED else "solid"}
            marks = {"symbol": ["circle-open" if void else "circle" for void in part.void], "size": 9}
            figure.add_scatter(
                x=part.step, y=part.forget, name=label(key), legendgroup=key, showlegend=number == 0, mode="lines+markers", line=line,
                marker=marks, error_y=errors(part.rename(columns={"forget": "share"})), **place,
            )  # fmt: skip
        never = panel[panel.localization != UNEDITED].groupby("step").never.mean()
        figure.add_scatter(x=never.index, y=never, name="never known", legendgroup="never", showlegend=number == 0, mode="lines",
                           line={"color": MUTED, "width": 1.5, "dash": "dot"}, **place)  # fmt: skip
    figure.update_xaxes(title_text="steps of the attack")
    figure.update_yaxes(range=[-0.03, 1.05])
    figure.update_yaxes(title_text="share of facts, true answer", col=1)
    return figure.update_layout(height=150 + 300 * n_rows)


@drawing
def attack_bars(outcomes: pd.DataFrame) -> go.Figure:
    """Share of true answers by setting of an attack, one bar a localization; hatched where the model was broken.

    ``outcomes`` as of :func:`mechlib.report.robustness.outcomes`; the last step of each setting is shown.
    """
    table: Any = outcomes[outcomes.null == ""]
    table = table[table.step == table.groupby("setting").step.transform("max")]
    figure = go.Figure()
    for key, part in table.groupby("localization", sort=False):
        names = [setting_name(setting, step).replace(", ", "<br>") for setting, step in zip(part.setting, part.step, strict=True)]
        look = {"color": colour(str(key)), "pattern": {"shape": ["/" if void else "" for void in part.void]}}
        bars = errors(part.rename(columns={"forget": "share"}))
        figure.add_bar(x=names, y=part.forget, name=label(str(key)), marker=look, error_y=bars)
    return figure.update_layout(barmode="group", yaxis={"title": "share of facts, true answer", "range": [0, 1.05]}, height=450)


@drawing
def leak_curves(table: pd.DataFrame) -> go.Figure:
    """Probability that a true answer is among this many samples; dotted: never-known facts. ``table`` as of ``robustness.leaks``."""
    figure = go.Figure()
    groups: Any = table.groupby(["localization", "group"], sort=False)
    for (key, group), part in groups:
        known = group == "forget"
        figure.add_scatter(
            x=part.samples, y=part.share, name=f"{label(key)}{'' if known else ', never known'}", mode="lines+markers",
            line={"color": colour(key), "dash": "solid" if known else "dot"}, error_y=errors(part) if known else None,
        )  # fmt: skip
    axes: dict[str, Any] = {"xaxis": {"title": "samples", "type": "log", "tickvals": sorted(set(table.samples))},
                            "yaxis": {"title": "probability that the true answer is one", "range": [-0.03, 1.05]}}  # fmt: skip
    return figure.update_layout(height=470, **axes)
