"""Figures: as many traces as there are things to show, and values where they belong."""

import pandas as pd
import pytest
import test_attack_figures
from drawing import ARMS, answers, drawn, lines, localization, valued

from mechlib.components import Component
from mechlib.patching.pairs import POSITIONS
from mechlib.patching.scores import Scores
from mechlib.report import figures


def test_every_figure_is_here():
    tests = {*globals(), *vars(test_attack_figures)}
    assert {f"test_{name}" for name in figures.__all__} <= tests


def test_known_by_answer():
    rows = [*answers(), *answers(answer="football"), *answers(answer="baseball")]
    figure = drawn(figures.known_by_answer(rows, 0.6), 3)
    assert [trace.name for trace in figure.data] == ["baseball", "football", "golf"]
    # Counted in bins of .05, so that the page holds no row of its own for each athlete.
    assert list(figure.data[0].x) == pytest.approx([0.025 + 0.05 * number for number in range(20)])
    assert (figure.data[0].y[0], sum(figure.data[0].y)) == (1, 10)
    assert lines(figure) == [(0.6, 0.6, 0, 1)]


def test_known_by_relation():
    counts = pd.DataFrame({"relation": ["maker", "mother_tongue"], "facts": [9, 8], "one_shot": [3, 2], "statement": [1, 0]})
    figure = drawn(figures.known_by_relation(counts, 0.5), 3)
    assert [list(trace.y) for trace in figure.data] == [[9, 8], [3, 2], [1, 0]]
    assert [trace.name for trace in figure.data][1:] == ["One-shot statement: p > 0.5", "Bare statement: p > 0.5"]
    assert list(figure.data[0].x) == ["maker", "mother tongue"]


def test_format_accuracies():
    figure = drawn(figures.format_accuracies([*answers(), *answers(format="cloze", correct=False)], ["cloze"]), 1)
    assert list(figure.data[0].y) == [0.5, 0.0]
    assert ["void" in name for name in figure.data[0].x] == [False, True]


@pytest.mark.parametrize("chosen", [(), (1,), (0, 1)])
def test_probe_curves(chosen):
    rows = [{"layer": layer, "position": position, "correct": layer, "total": 4, "control_correct": 1}
            for layer in range(3) for position in ("subject", "prompt")]  # fmt: skip
    figure = drawn(figures.probe_curves(rows, chosen), 3)
    assert [list(trace.y) for trace in figure.data] == [[0, 0.25, 0.5], [0, 0.25, 0.5], [0.25] * 3]
    # What layer 1 writes is read where layer 2 starts.
    assert [line[:2] for line in lines(figure)] == ([(chosen[0], chosen[-1] + 1)] if chosen else [])


def test_score_map():
    scores = [valued(lambda node: 10 * node.layer + (9 if node.index is None else node.index)), valued(lambda node: 0.0)]
    figure = drawn(figures.score_map(scores, ["one", "other"]), 2)
    assert [list(row) for row in figure.data[0].z] == [[0, 10, 20], [1, 11, 21], [9, 19, 29]]
    assert list(figure.data[0].y) == ["head 0", "head 1", "MLP"]


def test_score_map_of_no_scores_says_so():
    figure = drawn(figures.score_map([], []), 0)
    assert [note.text for note in figure.layout.annotations] == ["no localization here is chosen by scores of components"]


def test_score_map_of_scores_for_keys_and_values_too():
    scores = valued(lambda node: 1.0)
    more = {**scores.values, **{Component(layer, "kv", 0): 2.0 for layer in range(3)}}
    assert [list(row) for row in drawn(figures.score_map([Scores("x", more, 1.0, 0.0)], ["one"]), 1).data[0].z] == [[1.0] * 3] * 3


def test_localization_map():
    found = {"fact_lookup": localization("a", "L0.mlp", "L1.mlp"), "random/1": localization("b", "L1.attn", "L2.mlp")}
    figure = drawn(figures.localization_map(found, 3), 4)
    mlps, attention = figure.data[:2], figure.data[2:]
    assert [list(trace.x) for trace in (*mlps, *attention)] == [[0, 1], [2], [], [1]]
    assert sum(bool(trace.showlegend) for trace in figure.data) == 2
    assert list(figure.layout.yaxis.ticktext) == ["Random components (set 1)", "Fact lookup"]


def test_localization_map_of_a_localization_by_hand():
    """Every kind of component is drawn once a layer, in a mark of its own, and named."""
    names = ["L0.mlp", "L1.attn", "L2.head0", "L2.head1", "L2.kv0", "L1.neuron7", *(f"L2.neuron{n}" for n in range(9))]
    figure = drawn(figures.localization_map({"given": localization("given", *names)}, 3), 5)
    assert {trace.name: dict(zip(trace.x, trace.customdata, strict=True)) for trace in figure.data} == {
        "MLP": {0: "L0.mlp"}, "neurons": {1: "L1.neuron7", 2: "L2, 9 neurons"}, "attention": {1: "L1.attn"},
        "heads": {2: "L2.head0, L2.head1"}, "keys and values": {2: "L2.kv0"},
    }  # fmt: skip
    assert len({(trace.marker.symbol, trace.y[0]) for trace in figure.data}) == 5
    assert all(trace.showlegend for trace in figure.data)


@pytest.mark.parametrize("kinds", [("attn", "mlp"), ("mlp",), ("attn",)])
def test_position_map(kinds):
    at = {Component(layer, kind): {position: layer + n / 10 for n, position in enumerate(POSITIONS)}
          for layer in range(3) for kind in kinds}  # fmt: skip
    figure = drawn(figures.position_map(Scores("x", {}, 1.0, 0.0, positions=at), "Tracing"), len(kinds))
    for trace in figure.data:
        assert (list(trace.x), list(trace.y)) == ([0, 1, 2], list(POSITIONS))
        assert [list(row) for row in trace.z] == [[layer + n / 10 for layer in range(3)] for n in range(len(POSITIONS))]
        assert (trace.zmin, trace.zmax) == (-2.4, 2.4)
    assert sum(bool(trace.showscale) for trace in figure.data) == 1


def test_path_effects():
    stream = Scores("paths", {Component(layer, "mlp"): value for layer, value in enumerate([0.1, -0.3, 0.05])}, 1.0, 0.0)
    figure = drawn(figures.path_effects(stream, {"paper": [0], "released": [0, 1]}, 3, 0.02), 3)
    # The last layer's effect is the baseline.
    assert [value for trace in figure.data for value in trace.y] == pytest.approx([0.05, -0.35, 0.0, 0.05, 0.05, -0.35])
    assert [list(trace.x) for trace in figure.data] == [[0, 1, 2], [0], [0, 1]]
    assert [line[2] for line in lines(figure)] == [0.02, -0.02]
    assert drawn(figures.path_effects(Scores("paths", {}, 1.0, 0.0), {"paper": [], "released": []}, 3, 0.02), 3)


def test_learning_curves():
    rows = [{"localization": key, "part": part, "step": step, "forget_set": number, "forget": step + number, "retain": 1.0, "text": 2.0}
            for key in ARMS for part in range(2) for step in range(3) for number in range(2)]  # fmt: skip
    figure = drawn(figures.learning_curves(rows), 3 * len(ARMS))
    # Parts follow one another, forget sets are averaged.
    assert list(figure.data[0].x) == list(range(6))
    assert list(figure.data[0].y) == [0.5, 1.5, 2.5] * 2
    assert sum(bool(trace.showlegend) for trace in figure.data) == len(ARMS)


def test_outcome_bars():
    rows = [row for key in ARMS for group in ("forget", "maintain") for row in answers(localization=key, group=group)]
    figure = drawn(figures.outcome_bars(rows, {"true": ("forget", "correct"), "new": ("forget", "edited")}), 2)
    assert [list(trace.x) for trace in figure.data] == [[0.5] * 3, [0.4] * 3]
    assert [figure.layout.yaxis.ticktext[place] for place in figure.data[0].y] == ["Fact lookup", "Random MLPs", "Given by file"]


def test_transfer_map():
    rows = [row for key in ARMS for form in ("one_shot", "cloze", "question") for row in answers(localization=key, format=form)]
    figure = drawn(figures.transfer_map(rows, "correct", "forget", ["cloze"], "one_shot"), 1)
    assert [list(row) for row in figure.data[0].z] == [[0.5, None, 0.5]] * 3
    assert ["void" in name for name in figure.data[0].x] == [False, True, False]
    assert ["trained" in name for name in figure.data[0].x] == [True, False, False]


def test_agreement_dots_without_exact_effects_say_so():
    assert "no exact effects" in figures.agreement_dots(pd.DataFrame([])).layout.annotations[0].text


def test_agreement_dots():
    table = pd.DataFrame([
        {"method": method, "kind": kind, "reference": reference, "share": 0.5, "low": low, "high": 0.7}
        for method, low in (("causal_tracing", 0.4), ("gradient_times_weight", float("nan"))) for kind in ("mlp", "head")
        for reference in ("exact denoising", "exact noising")
    ])  # fmt: skip
    figure = drawn(figures.agreement_dots(table), 4)
    assert len({trace.name for trace in figure.data}) == 4
    assert len({y for trace in figure.data for y in trace.y}) == 8
    assert [list(trace.x) for trace in figure.data] == [[0.5, 0.5]] * 4
    assert list(figure.layout.yaxis.ticktext) == ["|Gradient x weight|", "Causal tracing"]


def test_circuit_curves():
    rows = [{"method": method, "signed": signed, "size": size, "of": 4, "faithfulness": size / 4 if signed else 9.0}
            for method in ("causal_tracing", "integrated_gradients") for signed in (True, False) for size in (0, 1, 2, 4)]  # fmt: skip
    figure = drawn(figures.circuit_curves(rows), 2)
    assert [(list(trace.x), list(trace.y)) for trace in figure.data] == [([0, 1, 2, 4], [0, 0.25, 0.5, 1])] * 2
    # Nothing has no place on a logarithmic axis.
    assert list(figure.layout.xaxis.tickvals) == [1, 2, 4]


def test_draw_distribution():
    figure = drawn(figures.draw_distribution([0.1, 0.2, 0.2], {"fact_lookup": 0.3, "causal_tracing_mlps": 0.1}, "effect"), 1)
    assert (figure.data[0].y[0], figure.data[0].y[-1], sum(figure.data[0].y)) == (1, 2, 3)
    assert [line[0] for line in lines(figure)] == [0.3, 0.1]
    assert [note.text for note in figure.layout.annotations] == ["Fact lookup", "Causal tracing (MLPs)"]


def test_trial_dots():
    trials = pd.DataFrame([
        {"localization": key, "learning_rate": rate, "forget_coefficient": 1.0, "norm": 10 * rate, "edit": 0.5, "chosen": rate > 1}
        for key in ARMS for rate in (1.0, 2.0)
    ])  # fmt: skip
    figure = drawn(figures.trial_dots(trials), len(ARMS))
    assert [list(trace.x) for trace in figure.data] == [[10.0, 20.0]] * 3
    assert all(trace.marker.size[1] > trace.marker.size[0] for trace in figure.data)


def test_mask_curves():
    rows = [{"localization": key, "forget_set": number, "step": step, "forget": float(number), "retain": 1.0, "masked": 100 * step}
            for key in ARMS for number in range(2) for step in range(3)]  # fmt: skip
    figure = drawn(figures.mask_curves(rows), 3 * len(ARMS))
    assert list(figure.data[0].y) == [0.5] * 3
    assert list(figure.data[2].y) == [0, 100, 200]


def test_size_curves():
    groups = ("forget", "maintain")
    before = [row for group in groups for row in answers(group=group, size=0, correct=True)]
    rows = [row for key in ARMS for group in groups for size in (1000, 300) for row in answers(group=group, localization=key, size=size)]
    figure = drawn(figures.size_curves(rows, before, "one_shot"), 2 * len(ARMS))
    assert {(tuple(trace.x), tuple(trace.y)) for trace in figure.data} == {(("0", "300", "1,000"), (1.0, 0.5, 0.5))}
    assert [trace.line.dash for trace in figure.data] == ["solid", "dash"] * 3


def test_planted_dots():
    cells = pd.DataFrame([{"planted": site, "edited": arm, "sets": 4, "estimate": at, "low": at - 1, "high": at + 2, "share": 0.5}
                          for site, arm, at in (("early_mlps", "planted_site", -3.0), ("early_mlps", "other_site", 1.0),
                                                ("late_mlps", "planted_site", -1.0))])  # fmt: skip
    figure = drawn(figures.planted_dots({"one": cells, "two": cells}), 4)
    lines = figure.layout.yaxis.ticktext
    assert [(list(trace.x), [lines[round(at)] for at in trace.y]) for trace in figure.data[:2]] == [
        ([-3.0, 1.0], ["edited at the planted site", "edited at the other site"]), ([-1.0], ["edited at the planted site"])]  # fmt: skip
    assert list(figure.data[0].error_x.array) == [2, 2] and list(figure.data[0].error_x.arrayminus) == [1, 1]
    assert figures.planted_dots({"one": cells[:0]}).layout.annotations


def test_named_layers():
    table = pd.DataFrame([{"method": key, "place": place, "layer": layer, "planted": layer == place, "named": layer == at}
                          for key, at in (("fact_lookup", 1), ("late_window", 2)) for place in (1, 2) for layer in (1, 2)])  # fmt: skip
    figure = drawn(figures.named_layers(table, ["late_window", "random_mlps", "fact_lookup"]), 4)
    assert [(trace.name, list(trace.x), list(trace.y)) for trace in figure.data] == [
        ("planted", [1, 2], [1, 2]), ("named", [1, 2], [2, 2]), ("planted", [1, 2], [1, 2]), ("named", [1, 2], [1, 1])]  # fmt: skip
    assert [note.text for note in figure.layout.annotations] == ["Last MLPs", "Fact lookup"]
    assert figures.named_layers(table, ["random_mlps"]).layout.annotations


def test_probes_by_place():
    table = pd.DataFrame([{"place": place, "layer": layer, "accuracy": 0.1 * layer + 0.3, "planted": layer == place}
                          for place in (1, 2, 3) for layer in (0, 1, 2)])  # fmt: skip
    figure = drawn(figures.probes_by_place(table), 6)
    assert [(trace.name, list(trace.x)) for trace in figure.data[:4]] == [
        ("place 1", [0, 1, 2]), ("place 1, planted", [1]), ("place 2", [0, 1, 2]), ("place 2, planted", [2])]  # fmt: skip
    assert len({trace.line.color for trace in figure.data}) == 3


def test_planted_layers():
    table = pd.DataFrame([{"layer": layer, "norm": layer + 1.0, "estimate": at, "low": at - 1, "high": at + 2}
                          for layer, at in ((0, 0.5), (1, 2.0), (2, 3.0), (3, 1.0))])  # fmt: skip
    figure = drawn(figures.planted_layers(table, {"early_mlps": [0, 1], "late_mlps": [3]}), 6)
    assert [(trace.name, list(trace.x), list(trace.y)) for trace in figure.data] == [
        ("early MLPs", [0, 1], [0.5, 2.0]), ("early MLPs", [0, 1], [1.0, 2.0]), ("late MLPs", [3], [1.0]), ("late MLPs", [3], [4.0]),
        ("other MLPs", [2], [3.0]), ("other MLPs", [2], [3.0])]  # fmt: skip
    assert list(figure.data[0].error_y.array) == [2, 2] and list(figure.data[0].error_y.arrayminus) == [1, 1]
    assert len({trace.marker.color for trace in figure.data}) == 3
    assert figures.planted_layers(table[:0], {}).layout.annotations


def test_gap_dots():
    table = pd.DataFrame([{"rival": rival, "series": norms, "estimate": at, "low": at - 1, "high": at + 2}
                          for rival, norms, at in (("all_mlps", "as edited", -3.0), ("late_window", "as edited", 1.0),
                                                   ("all_mlps", "at equal norm", -1.0))])  # fmt: skip
    figure = drawn(figures.gap_dots(table, "nothing"), 2)
    names = figure.layout.yaxis.ticktext
    assert [(trace.name, list(trace.x), [names[round(at)] for at in trace.y]) for trace in figure.data] == [
        ("as edited", [-3.0, 1.0], ["All MLPs", "Last MLPs"]), ("at equal norm", [-1.0], ["All MLPs"])]  # fmt: skip
    assert list(figure.data[0].error_x.array) == [2, 2] and list(figure.data[0].error_x.arrayminus) == [1, 1]
    assert lines(figure) == [(0, 0, 0, 1)]
    assert figures.gap_dots(table[:0], "nothing").layout.annotations[0].text == "nothing"


def test_depth_dots():
    places = {"fact_lookup": (1.0, 4.0), "window_1_of_9": (1 / 3, 2.5), "window_8_of_9": (0.0, 16.5)}
    table = pd.DataFrame([{"arm": arm, "overlap": shared, "depth": depth, "earliest": 1, "latest": 2, "forget_set": number,
                           "odds": depth + number} for arm, (shared, depth) in places.items() for number in range(3)])  # fmt: skip
    figure = drawn(figures.depth_dots({"one": table, "two": table}), 6)
    assert [(list(trace.x), list(trace.y)) for trace in figure.data[:3]] == [([4.0], [5.0]), ([2.5], [3.5]), ([16.5], [17.5])]
    assert figures.depth_dots({"one": table[:0]}).layout.annotations


def test_layer_profiles():
    table = pd.DataFrame([(key, layer, layer / 10 + (key != "unedited")) for key in ("unedited", "fact_lookup") for layer in range(3)],
                         columns=["localization", "layer", "score"])  # fmt: skip
    figure = drawn(figures.layer_profiles({"one": table, "two": table}, {"fact_lookup": {1}}), 4)
    before, after = figure.data[:2]
    assert (before.name, before.line.dash, list(before.y)) == ("Unedited", "dash", [0.0, 0.1, 0.2])
    assert (after.line.dash, list(after.y), list(after.marker.size)) == ("solid", [1.0, 1.1, 1.2], [3, 10, 3])
    assert figures.layer_profiles({"one": table[:0]}, {}).layout.annotations
