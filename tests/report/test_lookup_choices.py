"""Fact lookup's layers by other probes: windows by hand, and sentences that say what was found."""

import pytest

from mechlib.components import Architecture, Localization, modules
from mechlib.patching.probing import CLASSIFIERS
from mechlib.report.lookup_choices import choice, fewer_facts, lookup_choices

ARCH = Architecture(n_layers=12, n_heads=2, n_key_value_heads=1, d_model=16, d_head=8, d_mlp=20)
# After layer 0 .3; .1 more after layer 1; within one standard error (.03) of the best, .9, after layer 6; one past that is 7.
EARLY = [0.3, 0.42, 0.5, 0.6, 0.7, 0.8, 0.9, 0.9, 0.9, 0.9, 0.9]
LATER = [0.3, 0.35, 0.39, 0.5, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]


def edited(*layers):
    chosen = [one for one in modules(ARCH, ["mlp"]) if one.layer in layers]
    return Localization.of("fact_lookup", chosen, ARCH, architecture=vars(ARCH))


def rows(facts, total=100, **curves):
    """Rows of every kind of probe, each with a curve of its own or the early one."""
    return [
        {"classifier": kind, "facts": facts, "layer": layer, "correct": round(share * total), "total": total}
        for kind in CLASSIFIERS
        for layer, share in enumerate(curves.get(kind.replace(" ", "_"), EARLY), start=1)
    ]  # fmt: skip


def test_windows_and_overlaps_are_those_by_hand():
    table = lookup_choices(rows("all", logistic=LATER), edited(1, 2, 3)).set_index("probe")
    assert list(table["layers with the cap"]) == ["1 to 3"] * 3 + ["3 to 5"]
    assert list(table["layers without the cap"]) == ["1 to 7"] * 3 + ["3 to 5"]
    assert list(table["shared with what is edited"]) == [1.0] * 3 + [pytest.approx(1 / 5)]
    assert list(table["shared without the cap"]) == [pytest.approx(3 / 7)] * 3 + [pytest.approx(1 / 5)]
    assert list(table.index) == ["Ridge, alpha 100", "Ridge, alpha 1000 (the study's)", "Ridge, alpha 10000", "Logistic regression"]
    assert set(table["held-out accuracy"]) == {0.9}


def test_the_sentence_says_whether_the_kind_of_probe_decides():
    apart, alike = lookup_choices(rows("all", logistic=LATER), edited(1)), lookup_choices(rows("all"), edited(1))
    assert choice(alike) == "All kinds of probe agree: with the cap the rule gives layers 1 to 3; without it, 1 to 7."
    ridges = "ridge, alpha 100; ridge, alpha 1000 (the study's); ridge, alpha 10000"
    assert choice(apart) == (
        f"The kind of probe decides: with the cap the rule gives layers 1 to 3 ({ridges}), 3 to 5 (logistic regression); "
        f"without it, 1 to 7 ({ridges}), 3 to 5 (logistic regression)."
    )


def test_fewer_facts_are_read_by_themselves_and_their_absence_is_said():
    flat = {kind.replace(" ", "_"): [0.5] * 11 for kind in CLASSIFIERS}
    table = lookup_choices([*rows("all"), *rows("traced", total=10, **flat)], edited(1))
    assert len(table) == 8
    assert fewer_facts(table) == (
        "On the 10 facts alone that output tracing sees, the best of these probes is right for 0.50 (one standard error is 0.16), "
        "and with the cap the rule gives layers 0 to 1."
    )
    assert choice(table) == choice(lookup_choices(rows("all"), edited(1)))
    assert "no probe can be fitted" in fewer_facts(lookup_choices(rows("all"), edited(1)))
