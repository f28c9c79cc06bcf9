"""Localizing again: shares of what is named, by hand; an edit that a method finds is told from one that it does not see."""

import pytest
from test_verdicts import ARCH

from mechlib.components import Component, Localization
from mechlib.report import localized_again


def place(key, *names):
    return Localization.of(key, [Component.parse(name) for name in names], ARCH, architecture=vars(ARCH))


TRAINED = {"fact_lookup": {0: place("fact_lookup", "L2.mlp", "L3.mlp"), 1: place("fact_lookup", "L2.mlp", "L3.mlp")}}


def found(key, number, **named):
    value = {method: place(method, *names).to_json() for method, names in named.items()}
    return {"localization": key, "forget_set": number}, {"found": value}


def test_shares_are_of_weights_before_and_after_an_edit():
    named = {("unedited", 0): (6, 7), ("unedited", 1): (2, 7), ("fact_lookup", 0): (2, 3), ("fact_lookup", 1): (3, 7)}
    values = [found(*where, causal_tracing_mlps=[f"L{layer}.mlp" for layer in layers]) for where, layers in named.items()]
    (row,) = localized_again.named_again(values, TRAINED).to_dict("records")
    assert (row["method"], row["edited"], row["sets"]) == ("causal_tracing_mlps", "fact_lookup", 2)
    assert (row["before"], row["after"], row["chance"]) == (0.25, 0.75, 2 / 8)
    assert row["names"] == "MLPs 2, 3"
    table = localized_again.named_table(localized_again.named_again(values, TRAINED))
    assert list(table.iloc[0])[:2] == ["Causal tracing (MLPs)", "Fact lookup"]
    said = localized_again.finders(localized_again.named_again(values, TRAINED))
    assert said == "Most of what a method names was edited: fact lookup, 75\xa0% by causal tracing (MLPs)"


def test_attention_counts_by_its_weights():
    values = [found(key, 0, causal_tracing=["L2.mlp", "L5.attn"]) for key in ("unedited", "fact_lookup")]
    (row,) = localized_again.named_again(values, TRAINED).to_dict("records")
    mlp, attn = (Component.parse(name).size(ARCH) for name in ("L2.mlp", "L5.attn"))
    assert row["after"] == pytest.approx(mlp / (mlp + attn)) and row["chance"] == pytest.approx(2 * mlp / (8 * (mlp + attn)))
    assert row["sets"] == 1 and row["names"] == "MLPs 2; attention 5"


def test_a_method_that_names_nothing_has_no_line():
    values = [found("unedited", 0, fact_lookup=["L2.mlp"]), found("fact_lookup", 0), found("unedited", 1), found("fact_lookup", 1)]
    table = localized_again.named_again(values, TRAINED)
    assert len(table) == 0 and localized_again.finders(table) == "No edit was localized again"


def test_a_profile_is_the_mean_over_sets_of_mlps_alone():
    rows = [{"localization": key, "forget_set": number, "evidence": "paths", "kind": kind, "layer": layer,
             "score": number + layer + (key == "a")}
            for key in ("unedited", "a") for number in range(2) for kind in ("mlp", "attn") for layer in range(3)]  # fmt: skip
    table = localized_again.profile([*rows, {**rows[0], "evidence": "other", "score": 99}], "paths")
    assert [tuple(line) for line in table.itertuples(index=False)] == [
        ("unedited", 0, 0.5), ("unedited", 1, 1.5), ("unedited", 2, 2.5), ("a", 0, 1.5), ("a", 1, 2.5), ("a", 2, 3.5)]
    assert list(localized_again.profiles([*rows, {**rows[0], "evidence": "causal_tracing"}])) == ["Fact lookup", "Causal tracing"]


def test_layers_are_those_of_mlps_in_any_set():
    trained = {"causal_tracing": {0: place("a", "L2.mlp", "L5.attn"), 1: place("a", "L4.mlp")}, **TRAINED}
    assert localized_again.mlp_layers(trained) == {"causal_tracing": {2, 4}, "fact_lookup": {2, 3}}
