"""Figures of attacks and audits: as many traces as there are things to show, and values where they belong."""

import pandas as pd
import pytest
from drawing import ARMS, drawn, lines

from mechlib.report import figures


def outcome(key, setting, step, forget, void=False, null=""):
    """A line of the shares under an attack."""
    return {"localization": key, "null": null, "setting": setting, "step": step, "forget": forget, "low": forget / 2, "high": 1.0,
            "never": 0.2, "unknown": 0.2, "void": void}  # fmt: skip


def attacked(setting="LoRA 8, 0.001", keys=("unedited", *ARMS)):
    """Shares before an attack and at two steps of one setting; the last model breaks."""
    before = [outcome(key, "none", 0, 0.1) for key in keys]
    return before + [outcome(key, setting, step, step / 10, void=key == keys[-1]) for key in keys for step in (3, 6)]


def test_relearning_curves():
    null = outcome("fact_lookup", "LoRA 8, 0.01", 6, 0.9, null="permuted answers")
    table = pd.DataFrame([*attacked(), *attacked("LoRA 8, 0.01")[4:], null])
    figure = drawn(figures.relearning_curves(table), 2 * 5)
    # Every panel starts before the attack, and nulls are left out.
    assert {(tuple(trace.x), tuple(trace.y)) for trace in figure.data if trace.name != "never known"} == {((0, 3, 6), (0.1, 0.3, 0.6))}
    assert [list(trace.y) for trace in figure.data if trace.name == "never known"] == [pytest.approx([0.2] * 3)] * 2
    assert [trace.line.dash for trace in figure.data[:5]] == ["dash", "solid", "solid", "solid", "dot"]
    assert [list(trace.marker.symbol) for trace in figure.data[2:4]] == [["circle"] * 3, ["circle", "circle-open", "circle-open"]]
    assert sum(bool(trace.showlegend) for trace in figure.data) == 5
    assert [note.text for note in figure.layout.annotations][:2] == ["LoRA 8, 1e-3", "LoRA 8, 0.01"]


@pytest.mark.parametrize("count", [1, 2, 4, 6])
def test_relearning_curves_have_a_panel_for_each_setting(count):
    rows = [row for number in range(count) for row in attacked(f"setting {number}", ARMS)[len(ARMS) * (number > 0) :]]
    figure = drawn(figures.relearning_curves(pd.DataFrame(rows)), 4 * count)
    assert len({trace.xaxis for trace in figure.data}) == count


def test_attack_bars():
    table = pd.DataFrame([*attacked(), outcome("fact_lookup", "LoRA 8, 0.001", 6, 0.9, null="permuted answers")])
    figure = drawn(figures.attack_bars(table), 4)
    # Of several steps the last one is shown.
    names = ("before the attack", "LoRA 8<br>1e-3<br>6 steps")
    assert {(tuple(trace.x), tuple(trace.y)) for trace in figure.data} == {(names, (0.1, 0.6))}
    assert [list(trace.marker.pattern.shape) for trace in figure.data[2:]] == [["", ""], ["", "/"]]


def test_leak_curves():
    table = pd.DataFrame([
        {"localization": key, "group": group, "samples": count, "share": count / 10, "low": 0.0, "high": 1.0}
        for key in ARMS for group in ("forget", "unknown") for count in (1, 4)
    ])  # fmt: skip
    figure = drawn(figures.leak_curves(table), 2 * len(ARMS))
    assert {(tuple(trace.x), tuple(trace.y)) for trace in figure.data} == {((1, 4), (0.1, 0.4))}
    assert [trace.line.dash for trace in figure.data] == ["solid", "dot"] * 3
    assert list(figure.layout.xaxis.tickvals) == [1, 4]


def test_attack_map():
    board = pd.DataFrame([
        {"localization": key, "attack": attack, "share": number / 4, "strongest": f"{attack} {number}"}
        for number, key in enumerate(ARMS) for attack in ("relearning", "any")
    ])  # fmt: skip
    heat = drawn(figures.attack_map(board), 1).data[0]
    assert [list(line) for line in heat.z] == [[number / 4] * 2 for number in range(len(ARMS))]
    assert list(heat.x) == ["Relearning", "The<br>strongest"]
    assert list(heat.customdata[1]) == ["relearning 1", "any 1"]


def test_layer_curves():
    lines = [{"localization": key, "layer": layer, "share": layer / 4, "control": 0.1 * (key == "given"), "void": layer == 1}
             for key in ("unedited", "given") for layer in range(3)]  # fmt: skip
    table = pd.DataFrame(lines)
    figure = drawn(figures.layer_curves({"one": table, "other": table.drop(columns=["control", "void"])}, "share"), 9)
    first, void, *_, control = figure.data[:5]
    # The line breaks at a void layer, which is a hollow point of its own.
    assert [value if value == value else None for value in first.y] == [0.0, None, 0.5]
    assert (list(void.x), list(void.y), void.marker.symbol) == ([1], [0.25], "circle-open")
    assert list(control.y) == [0.05] * 3
    assert list(figure.data[5].y) == [0.0, 0.25, 0.5]
    assert [trace.name for trace in figure.data if trace.showlegend is not False] == ["Unedited", "Given by file", "control"]


def test_interval_dots():
    table = pd.DataFrame([{"localization": key, "measure": measure, "share": 0.5, "low": 0.25, "high": 1.0}
                          for measure in ("true", "target") for key in ARMS])  # fmt: skip
    figure = drawn(figures.interval_dots(table, "share", line=0.5), 2)
    assert list(figure.layout.yaxis.ticktext) == ["Given by file", "Random MLPs", "Fact lookup"]
    assert (list(figure.data[0].error_x.array), list(figure.data[0].error_x.arrayminus)) == ([0.5] * 3, [0.25] * 3)
    # Every dot lies nearest to its own localization.
    assert [[round(y) for y in trace.y] for trace in figure.data] == [[2, 1, 0]] * 2
    assert {line[0] for line in lines(figure)} == {0.5}
