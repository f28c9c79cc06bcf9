"""Titles of figures: computed from what is drawn, they name the least and the most and change with them."""

import math
import re

import pandas as pd
import pytest
from drawing import answers, localization
from small_book import ROOT

from mechlib.components import Component
from mechlib.patching.scores import Scores
from mechlib.report import findings
from mechlib.report.parameters import read_pages

SOURCES = {page.name: (ROOT / "book" / f"{page.name}.py").read_text() for page in read_pages(ROOT / "book")}


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_every_figure_has_a_title_that_is_computed(name):
    calls = re.split(r"\bfigure\(\"", SOURCES[name])[1:]
    titles = [re.search(r"\bfound=(.)", call) for call in calls]
    # A text that is typed would be a title whatever is drawn.
    assert [call.partition('"')[0] for call, title in zip(calls, titles, strict=True) if title is None or title[1] in "\"'"] == []


def test_the_least_and_the_most_are_named_and_the_unedited_model_stands_beside():
    shares = {"unedited": 0.871, "fact_lookup": 0.2, "causal_tracing": 0.1, "random_mlps": 0.202}
    assert findings.span("Back", shares) == "Back: 0.10 (causal tracing) to 0.20 (fact lookup and random MLPs); 0.87 unedited"
    assert findings.span("Back", {**shares, "causal_tracing": 0.2}) == "Back: 0.20 after every edit; 0.87 unedited"
    assert findings.span("Back", {"fact_lookup": 1.0, "all_mlps": 0.5}, ".0%") == "Back: 50\xa0% (all MLPs) to 100\xa0% (fact lookup)"
    assert findings.span("Back", {"unedited": 1.0, "fact_lookup": math.nan}) == "Back: nothing to compare"


def test_formats_count_equally_and_only_those_that_are_asked():
    rows = [{**row, "group": "forget"} for form, right in (("cloze", True), ("question", False)) for key in ("fact_lookup", "all_mlps")
            for row in answers(localization=key, format=form, **({} if right else {"correct": False}))]  # fmt: skip
    one = findings.answers("True", rows, "correct", ["cloze"])
    assert one == "True: 0.50 after every edit"
    assert findings.answers("True", rows, "correct", ["cloze", "question"]) == "True: 0.25 after every edit"
    assert findings.answers("True", rows, "correct", []) == "True: no format tells"


def test_layers_that_are_void_do_not_count():
    table = pd.DataFrame({"localization": ["fact_lookup"] * 3 + ["all_mlps"] * 2, "layer": [0, 1, 2, 0, 1],
                          "share": [0.9, 0.1, 0.3, 0.5, 0.7], "void": [True, False, False, False, False]})  # fmt: skip
    assert findings.by_layer("True", table) == "True, mean over layers: 0.20 (fact lookup) to 0.60 (all MLPs)"
    assert findings.by_layer("True", table.drop(columns="void")) == "True, mean over layers: 0.43 (fact lookup) to 0.60 (all MLPs)"


def test_models_that_an_attack_broke_do_not_count():
    lines = [("unedited", 0.9, False), ("fact_lookup", 0.1, False), ("all_mlps", 0.8, True), ("random_mlps", 0.4, False)]
    table = pd.DataFrame([{"localization": key, "null": "", "setting": "s", "step": 5, "forget": share, "void": void}
                          for key, share, void in lines])  # fmt: skip
    told = "Back: 0.10 (fact lookup) to 0.40 (random MLPs); 0.90 unedited (models that it broke left out)"
    assert findings.attacked("Back", table, "s", 5) == told
    assert findings.attacked("Back", table.assign(void=True), "s", 5) == "The attack broke every model, also the unedited one"
    assert findings.attacked("Back", table.assign(void=table.localization != "unedited"), "s", 5) == "The attack broke every edited model"
    assert findings.attacked("Back", table[1:].assign(void=True), "s", 5) == "The attack broke every edited model"
    assert "left out" not in findings.attacked("Back", table.assign(void=False), "s", 5)


def test_edits_that_reach_their_success_are_counted():
    def curve(key, number, last):
        return [{"localization": key, "forget_set": number, "seed": 0, "part": 0, "forget": loss} for loss in (2.0, last)]

    rows = [*curve("fact_lookup", 0, 0.01), *curve("fact_lookup", 1, 0.03), *curve("all_mlps", 0, 0.02)]
    assert findings.reached(rows, 0.98) == "2 of 3 edits reached the success at which training stops"
    assert findings.reached(rows, 0.999).startswith("No edit reached") and findings.reached(rows, 0.9).startswith("Every edit reached")
    assert findings.reached(rows, 1.0) == "Forget loss before the last update: 0.02 after every edit"
    assert findings.reached(rows, 0.98, stops=False) == findings.reached(rows, 1.0)


def test_intervals_are_named_by_the_side_of_zero_on_which_they_lie():
    table = pd.DataFrame({"norms": ["as edited"] * 4 + ["equal"], "low": [-2.0, -1.0, 0.5, -3.0, -1.0], "high": [-1.0, 1.0, 1.0, -2.0, 0.5],
                          "rival": ["causal_tracing", "all_mlps", "random_mlps", "nonlocalized", "all_mlps"]})  # fmt: skip
    told = ("Differences: as edited, below zero against causal tracing and nonlocalized and above zero against random MLPs; "
            "equal, none beyond zero")  # fmt: skip
    assert findings.sides(table, "norms") == told
    assert findings.sides(table[:0], "norms") == "No difference was measured"


def test_the_strongest_component_and_the_strongest_position_are_named():
    values = {Component(0, "mlp"): 0.2, Component(1, "head", 3): -0.9, Component(2, "mlp"): 0.4}
    at = {Component(0, "mlp"): {"subject last": 0.5, "prompt end": 0.1}, Component(2, "mlp"): {"subject last": 0.1, "prompt end": 0.6},
          Component(1, "attn"): {"subject last": 0.3, "prompt end": 0.2}}  # fmt: skip
    one = Scores("x", values, 1.0, 0.0, positions=at)
    assert findings.strongest([one], ["causal tracing"]) == "What moves the answer most: L1.head3 by causal tracing"
    assert findings.strongest([], []) == "No scores were needed"
    told = "Most comes back from MLPs at prompt end (0.70) and attention at subject last (0.30), summed over layers"
    assert findings.where_strongest(one) == told
    assert findings.where_strongest(Scores("x", {}, 1.0, 0.0)) == "No position was traced"


def test_what_shares_most_with_fact_lookup_is_named():
    found = {"fact_lookup": localization("a", "L0.mlp", "L1.mlp"), "all_mlps": localization("b", "L0.mlp", "L2.mlp"),
             "random_mlps/1": localization("c", "L1.mlp", "L2.attn"), "late_window": localization("d", "L2.mlp")}  # fmt: skip
    assert findings.shared(found) == "Of fact lookup's 2 components, all MLPs and random MLPs train 1, more than any other"
    assert findings.shared({key: found[key] for key in ("fact_lookup", "all_mlps")}) == \
        "Of fact lookup's 2 components, all MLPs trains 1, more than any other"  # fmt: skip
    assert findings.shared({key: found[key] for key in ("fact_lookup", "late_window")}) == \
        "None of the others trains any of fact lookup's 2 components"  # fmt: skip
    assert findings.shared({"fact_lookup": found["fact_lookup"]}) == "One localization alone"


def test_the_closest_estimate_is_named_and_exact_patching_is_none():
    lines = [("activation_patching", "mlp", 1.0), ("causal_tracing", "mlp", 0.8), ("attribution_patching", "mlp", 0.6),
             ("causal_tracing", "head", 0.2), ("attribution_patching", "head", 0.9)]  # fmt: skip
    table = pd.DataFrame([{"method": method, "kind": kind, "reference": "exact noising", "share": share} for method, kind, share in lines])
    assert findings.closest(table) == \
        "Closest to exact patching: over MLPs causal tracing (0.80, noising), over heads attribution patching (0.90, noising)"  # fmt: skip
    tied = table.assign(share=[1.0, 0.8, 0.798, 0.2, 0.9])
    assert "over MLPs causal tracing (0.80, noising) and attribution patching (0.80, noising), over heads" in findings.closest(tied)
    assert findings.best_circuits({"causal_tracing": 0.75, "attribution_patching": 0.75}) == \
        "Most faithful are the circuits that are ranked by causal tracing and attribution patching (CPR 0.75)"  # fmt: skip
    assert findings.best_circuits({"causal_tracing": 0.5, "attribution_patching": 0.75, "other": math.nan}) == \
        "Most faithful are the circuits that are ranked by attribution patching (CPR 0.75)"  # fmt: skip
