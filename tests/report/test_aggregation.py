"""Averages: a fact counts once. Counted by hand, and against pandas on random rows."""

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from mechlib.report.aggregation import FACT, aggregate, average, fact_values, mean_over_sets
from mechlib.stats import clustered, crossed, share


def row(key="given", forget_set=0, subject="A", relation="sport", **more):
    return {"localization": key, "forget_set": forget_set, "subject": subject, "relation": relation, **more}


ROWS = st.lists(
    st.fixed_dictionaries({
        "localization": st.sampled_from(["unedited", "given"]), "forget_set": st.integers(0, 3), "seed": st.integers(0, 1),
        "format": st.sampled_from(["one_shot", "cloze"]), "subject": st.sampled_from("ABCD"), "relation": st.sampled_from("rs"),
        "x": st.one_of(st.booleans(), st.floats(0, 1)),
    }),
    min_size=1, max_size=50,
)  # fmt: skip


@given(ROWS)
def test_shares_are_those_of_pandas_over_facts(rows):
    table = aggregate(rows, ["localization", "format"], "x", fact=FACT)
    keys = ["localization", "format"]
    facts = pd.DataFrame(rows).astype({"x": float}).groupby([*keys, *FACT], sort=False).x.mean().groupby(level=keys, sort=False)
    found = table.set_index(keys)
    assert found.index.tolist() == facts.mean().index.tolist()
    assert found.share.tolist() == pytest.approx(facts.mean().tolist())
    assert found.n.tolist() == facts.size().tolist()
    for hits, n, low, high in zip(facts.sum(), table.n, table.low, table.high, strict=True):
        assert (low, high) == pytest.approx(proportion_confint(hits, n, method="wilson"), abs=1e-9)


@given(ROWS, st.sampled_from([(), ("format",), ("format", "seed")]))
def test_values_are_those_of_pandas_by_forget_set(rows, within):
    keys = ["forget_set", *FACT]
    means = pd.DataFrame(rows).astype({"x": float}).groupby([*keys, *within]).x.mean().groupby(level=keys).mean()
    values = fact_values(rows, "x", FACT, within)
    assert {number: pytest.approx(list(part)) for number, part in means.groupby(level="forget_set")} == values
    assert mean_over_sets(values) == pytest.approx(means.groupby(level="forget_set").mean().mean())


@given(ROWS)
def test_with_few_sets_a_number_has_an_interval_over_facts(rows):
    own = [one for one in rows if one["localization"] == rows[0]["localization"]]
    found, n = average(own, "x", "number")
    facts = pd.DataFrame(own).astype({"x": float}).groupby("subject").x.mean()
    assert (found, n) == (clustered({0: facts.tolist()}), len(facts))
    first = aggregate(rows, ["localization"], "x", "number").iloc[0]
    assert first[["share", "low", "high"]].tolist() == [found.estimate, found.low, found.high]


def test_with_enough_sets_the_set_is_the_unit():
    rows = [row(forget_set=number, subject=f"{number} {name}", x=float(number < 2)) for number in range(8) for name in "ABCD"]
    found, n = average(rows, "x")
    assert (found, n) == (share({number: [float(number < 2)] * 4 for number in range(8)}), 32)
    assert average(rows, "x", "number")[0] == clustered({number: [float(number < 2)] * 4 for number in range(8)})


def test_what_every_set_meets_is_crossed_with_the_sets():
    """The same four texts after eight edits: four texts, not thirty-two."""
    rows = [row(forget_set=number, text=text, x=float(text)) for number in range(8) for text in range(4)]
    found, n = average(rows, "x", "number", ["text"])
    assert (found, n) == (crossed({number: [0.0, 1.0, 2.0, 3.0] for number in range(8)}), 4)
    assert found.high - found.low > 3
    # A share has bounds.
    assert average([{**one, "x": one["x"] / 3} for one in rows], "x", fact=["text"])[0].low == 0.0


def test_a_fact_counts_once_whatever_its_sets_seeds_and_rotations():
    rows = [row(subject="A", forget_set=number, x=number == 0) for number in range(4)] + [row(subject="B", x=True)]
    found, n = average(rows, "x")
    assert (found.estimate, n) == (0.625, 2)


def test_formats_count_equally_whatever_their_rotations():
    rows = [row(x=True, format="cloze"), *(row(x=False, format="multiple_choice", rotation=rotation) for rotation in range(4))]
    assert fact_values(rows, "x", within=["format"]) == {0: [0.5]}
    assert fact_values(rows, "x") == {0: [0.2]}


def test_facts_come_in_the_order_of_their_names():
    rows = [row(subject="B", x=1), row(subject="A", x=0), row(subject="A", seed=1, x=1), row(forget_set=3, subject="A", x=True)]
    assert fact_values(rows, "x") == {0: [0.5, 1.0], 3: [1.0]}
    assert fact_values([row(text=2, x=1), row(text=1, x=5)], "x", ["text"]) == {0: [5.0, 1.0]}


def test_one_subject_of_two_relations_is_two_facts_if_asked():
    rows = [row(relation="country", x=True), row(relation="continent", x=False)]
    assert aggregate(rows, [], "x", fact=FACT).n.tolist() == [2]
    assert aggregate(rows, [], "x").n.tolist() == [1]


def test_rows_without_the_outcome_are_left_out():
    table = aggregate([row("unedited", x=None), row(x=None), row(subject="B", x=1)], ["localization"], "x")
    assert table[["localization", "n", "share"]].to_dict("records") == [{"localization": "given", "n": 1, "share": 1.0}]


def test_a_missing_column_is_an_error():
    with pytest.raises(KeyError, match="text"):
        aggregate([row(x=1)], ["localization"], "x", fact=["text"])


def test_a_share_of_nothing_is_unknown():
    found, n = average([], "x")
    assert (math.isnan(found.estimate), found.low, found.high, n) == (True, 0.0, 1.0, 0)
    assert aggregate([], ["localization"], "x").columns.tolist() == ["localization", "n", "share", "low", "high"]
    with pytest.raises(ValueError, match="no forget set"):
        average([], "x", "number")
