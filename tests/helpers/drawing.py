"""What the tests of figures share: rows by hand, and a look at what was drawn."""

import plotly.graph_objects as go

from mechlib.components import Architecture, Component, Localization, heads_and_mlps
from mechlib.patching.scores import Scores

ARCH = Architecture(n_layers=3, n_heads=2, n_key_value_heads=1, d_model=16, d_head=8, d_mlp=20)
ARMS = ("fact_lookup", "random_mlps", "given")


def answer(number=0, group="forget", **more):
    """A row of an answer: every second one right, every third one edited."""
    return {"subject": f"S{number}", "answer": "golf", "format": "one_shot", "group": group, "localization": "unedited", "forget_set": 0,
            "seed": 0, "correct": number % 2 == 0, "edited": number % 3 == 0, "probability": number / 10, **more}  # fmt: skip


def answers(**more):
    return [answer(number, **more) for number in range(10)]


def valued(function, method="made up"):
    return Scores(method, {node: function(node) for node in heads_and_mlps(ARCH)}, 1.0, 0.0)


def localization(key, *names):
    return Localization.of(key, [Component.parse(name) for name in names], ARCH)


def drawn(figure, traces):
    """A figure that can be written, with so many traces."""
    assert isinstance(figure, go.Figure)
    assert len(figure.to_json()) > 100
    assert len(figure.data) == traces
    return figure


def lines(figure):
    """The straight lines across a figure."""
    return [(shape.x0, shape.x1, shape.y0, shape.y1) for shape in figure.layout.shapes]
