"""Audits: rows made by hand to tables whose numbers can be counted, with what tells nothing marked and left out."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from mechlib.report import audits, figures
from mechlib.report.published import published, published_probes

ARMS = ("unedited", "fact_lookup", "random")


def row(key="unedited", forget_set=0, seed=0, subject="A", layer=0, **more):
    return {"localization": key, "forget_set": forget_set, "seed": seed, "subject": subject, "layer": layer, **more}


def probe(key="unedited", said="true", good=True, position="prompt", **more):
    """What a probe says of one fact: ``good`` is right about 90 of 100 other facts, else about 40; the control about 35."""
    return row(key, audit="probe", position=position, correct=said == "true", edited=said == "target",
               held_out_correct=90 if good else 40, held_out_total=100, control_correct=35, **more)  # fmt: skip


def token(key="unedited", rank=0, target=9, option=0, others=(9, 9), **more):
    return row(key, audit="projection", rank=rank, target_rank=target, option_rank=option, other_ranks=list(others), found=rank < 4, **more)


def patched(key="unedited", erased=0.0, drop=1.0, **more):
    return row(key, audit="depth", clean=2.0, corrupted=2.0 - drop, edited=2.0 - drop * (erased or 0.0), erased=erased, **more)


def of(table, key, measure, column="share"):
    found = table[(table.localization == key) & (table.measure == measure)]
    assert len(found) == 1
    return found[column].iloc[0]


def test_audit_picks_rows_by_kind_and_position():
    rows = [probe(), probe(position="subject"), token(), patched()]
    assert audits.audit(rows, "probe") == rows[:2]
    assert audits.audit(rows, "probe", "subject") == rows[1:2]
    assert audits.audit(rows, "projection") == rows[2:3]
    assert audits.audit(rows, "depth") == rows[3:]


def test_probe_quality_counts_the_facts_of_one_run_once():
    rows = [probe(subject=subject, forget_set=number, said="other") for number in range(3) for subject in "AB"]
    (line,) = audits.probe_quality(rows).to_dict("records")
    low, high = proportion_confint(90, 100, method="wilson")
    assert (line["share"], line["control"], line["n"]) == pytest.approx((0.9, 0.35, 100))
    assert (line["low"], line["high"]) == pytest.approx((low, high))
    assert not line["void"]


@pytest.mark.parametrize(("held_out", "control", "void"), [(60, 60, True), (60, 35, False), (50, 31, True), (100, 0, False), (0, 0, True)])
def test_a_probe_is_void_where_it_is_not_clearly_above_its_control(held_out, control, void):
    rows = [{**probe(), "held_out_correct": held_out, "control_correct": control}]
    assert audits.probe_quality(rows).void.tolist() == [void]


def test_a_layer_is_readable_where_both_this_model_and_the_unedited_one_are():
    good = {"unedited": (False, True, True), "fact_lookup": (True, True, False), "random": (True, True, True)}
    rows = [probe(key, good=here, layer=layer) for key, layers in good.items() for layer, here in enumerate(layers)]
    assert audits.readable(rows) == {"unedited": [1, 2], "fact_lookup": [1], "random": [1, 2]}


def test_probe_shares_by_layer():
    said = {("A", 0): "true", ("B", 0): "true", ("A", 1): "target", ("B", 1): "other"}
    rows = [probe(subject=subject, layer=layer, said=what, good=layer == 1) for (subject, layer), what in said.items()]
    table = audits.probe_shares(rows)
    shares = {(line["layer"], line["measure"]): (line["share"], line["void"]) for line in table.to_dict("records")}
    assert shares == {(0, "true answer"): (1.0, True), (1, "true answer"): (0.0, False),
                      (0, "edit target"): (0.0, True), (1, "edit target"): (0.5, False)}  # fmt: skip
    quality, true, target = audits.probe_panels(rows).values()
    assert (len(quality), true["share"].tolist(), target["share"].tolist()) == (2, [1.0, 0.0], [0.0, 0.5])


def test_probe_table_takes_readable_layers_and_beside_them_all():
    rows = [probe(key, subject=subject, layer=layer, said="target" if key == "fact_lookup" and layer == 2 else "true", good=layer > 0)
            for key in ("unedited", "fact_lookup") for subject in "ABCD" for layer in range(3)]  # fmt: skip
    rows += [probe("random", subject=subject, layer=layer, good=False) for subject in "ABCD" for layer in range(3)]
    table = audits.probe_table(rows)
    assert table["readable layers"].to_dict() == {"Unedited": "2 of 3", "Fact lookup": "2 of 3", "Random components": "0 of 3"}
    assert table.loc["Fact lookup", "True answer"].startswith("0.50 [")
    assert table.loc["Fact lookup", "True answer, all layers"].startswith("0.67 [")
    assert table.loc["Fact lookup", "Edit target, all layers"].startswith("0.33 [")
    assert table.loc["Unedited", "True answer"].startswith("1.00 [")
    assert table.loc["Random components", "True answer"] == "void"
    whole = audits.probe_table([row for row in rows if row["localization"] == "random"])
    assert whole.iloc[0].tolist()[:3] == ["0 of 3", "void", "void"]


def test_projection_by_layer_with_another_option_as_control():
    first, second = audits.projected([token(rank=3, target=4, option=1, others=(0, 8)), token(rank=4, target=None, option=None, others=())])
    assert {name: first[name] for name in ("true answer", "edit target", "another option", "leads")} == {
        "true answer": True, "edit target": False, "another option": 0.5, "leads": False,
    }  # fmt: skip
    assert second["true answer"] is False
    assert [second[name] for name in ("edit target", "another option", "leads")] == [None] * 3


def test_projection_of_other_candidates_is_refused():
    with pytest.raises(ValueError, match="not made with 8 candidates"):
        audits.projected([token(rank=5)], candidates=8)


def test_an_attack_succeeds_if_any_layer_offers_the_answer():
    rows = [token(layer=0, rank=9, target=9, others=(9, 0)), token(layer=1, rank=2, target=9, others=(9, 0)),
            token(subject="B", layer=0, rank=9, target=0, others=(0, 9)), token(subject="B", layer=1, rank=9, target=9, others=(9, 3)),
            token(subject="C", rank=0, target=None, others=())]  # fmt: skip
    found = {one["subject"]: (one["true answer"], one["edit target"], one["another option"]) for one in audits.extracted(rows)}
    # One option of A is offered at both layers and one never; of B each at one of them.
    assert found == {"A": (True, False, 0.5), "B": (False, True, 1.0), "C": (True, None, None)}


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=6))
def test_an_attack_is_never_weaker_than_its_best_layer(ranks):
    rows = [token(layer=layer, rank=rank, target=target, others=(other,)) for layer, (rank, target, other) in enumerate(ranks)]
    (fact,), layers = audits.extracted(rows), audits.projected(rows)
    for name in ("true answer", "edit target", "another option"):
        assert fact[name] == max(layer[name] for layer in layers)


def test_outcome_shares_leave_out_rows_without_the_outcome():
    rows = [row(subject="A", x=True, y=None), row(subject="B", x=False, y=True)]
    table = audits.outcome_shares(rows, ["localization"], ["x", "y"])
    assert (of(table, "unedited", "x"), of(table, "unedited", "x", "n")) == (0.5, 2)
    assert (of(table, "unedited", "y"), of(table, "unedited", "y", "n")) == (1.0, 1)


@pytest.mark.parametrize(("others", "void"), [((9, 9), False), ((0, 9), False), ((0, 0), True), ((), False)])
def test_head_projection_tells_nothing_where_other_options_are_offered_too(others, void):
    """Of 16 facts all true answers are found: the interval begins at .81. Of most, none, half or all other options are."""
    rows = [token(subject=f"{number}", others=others if number < 14 else (9,) * len(others)) for number in range(16)]
    edited = [token("random", subject=f"{number}", others=(0, 0)) for number in range(16)]
    assert audits.tells_nothing(rows) == audits.tells_nothing([*rows, *edited]) == void


def test_depth_by_layer_is_void_where_few_facts_allow_a_claim():
    erased = {0: (None, None, 1.0, None), 1: (None, None, 0.5, 1.0)}
    rows = [patched(subject=f"{number}", layer=layer, erased=one) for layer, own in erased.items() for number, one in enumerate(own)]
    table = audits.erasure_shares(rows)
    assert table.claimed.tolist() == [1, 2]
    assert table.void.tolist() == [True, False]
    assert table["share"].tolist()[1] == 0.75
    assert pd.isna(table["share"].tolist()[0])


def test_depth_of_a_fact_weighs_layers_by_what_corruption_takes():
    rows = [patched(erased=1.0, drop=3.0), patched(layer=1, erased=0.0, drop=1.0), patched(layer=2, erased=None, drop=0.1),
            patched(subject="B", erased=None, drop=0.1)]  # fmt: skip
    (one,) = audits.erasure_scores(rows)
    assert (one["subject"], one["erased"]) == ("A", 0.75)


def sets(key, forget, **more):
    """Probe rows of eight forget sets with two facts each, at a layer that is readable."""
    return [probe(key, said=forget, forget_set=number, subject=subject, **more) for number in range(8) for subject in "AB"]


def test_comparisons_are_described():
    rows = [*sets("unedited", "true"), *sets("fact_lookup", "target"), *sets("random", "true"), *sets("random_mlps", "target")]
    measures = {"probe": audits.Measure(rows, "correct", "lower"), "target": audits.Measure(rows, "edited", "higher"),
                "nothing": audits.Measure([], "correct", "lower")}  # fmt: skip
    table = audits.comparisons(measures, "fact_lookup", ["random", "random_mlps"])
    assert table.measure.tolist() == ["probe", "probe", "target", "target"]
    assert table["Fact lookup minus"].tolist() == ["Random components", "Random MLPs"] * 2
    assert table.difference.tolist() == ["-1.00 [-1.00, -1.00]", "0.00 [0.00, 0.00]", "1.00 [1.00, 1.00]", "0.00 [0.00, 0.00]"]
    # The smallest p of eight sets is 2/256.
    assert table["p"].tolist() == ["0.008", "1.000", "0.008", "1.000"]
    assert table.columns[-1] == "p"


def test_with_few_forget_sets_there_is_no_inference():
    rows = [one for key, said in (("fact_lookup", "target"), ("random", "true")) for one in sets(key, said) if one["forget_set"] < 2]
    (line,) = audits.comparisons({"probe": audits.Measure(rows, "correct", "lower")}, "fact_lookup", ["random"]).to_dict("records")
    assert (line["p"], line["forget sets"]) == ("none", 2)


def test_the_claim_is_tested_where_every_model_is_readable():
    probes = [one for key in ARMS for layer in range(3) for one in sets(key, "true", layer=layer, good=(key, layer) not in
              (("unedited", 0), ("random", 2)))]  # fmt: skip
    subjects = [probe(key, position="subject") for key in ARMS]
    depth = [patched(key, subject=subject, erased=0.5) for key in ARMS for subject in "AB"]
    tokens = [token(key, subject=f"{number}") for key in ARMS for number in range(16)]
    measures = audits.left_inside([*probes, *subjects, *depth, *tokens])
    assert {one["layer"] for one in measures["probe says the true answer"].rows} == {1}
    assert len(measures["head projection finds the true answer"].rows) == 48
    assert measures["depth of erasure"].better == "higher"
    useless = [{**one, "other_ranks": [0, 0]} for one in tokens]
    assert audits.left_inside([*probes, *useless])["head projection finds the true answer"].rows == []


def test_without_rows_there_are_tables_without_lines():
    assert [len(table) for table in audits.probe_panels([]).values()] == [0, 0, 0]
    assert len(audits.probe_table([])) == 0
    assert not audits.tells_nothing([])
    assert len(audits.erasure_shares([])) == 0
    assert len(audits.comparisons(audits.left_inside([]), "fact_lookup", ["random"])) == 0


def test_figures_of_nothing_say_so():
    for figure in (figures.layer_curves(audits.probe_panels([]), "share"), figures.interval_dots(audits.measured({}), "share")):
        assert [note.text for note in figure.layout.annotations] == ["nothing of this kind can be measured here"]
        assert not figure.data


def test_the_papers_probes_have_a_line_for_each_localization():
    keys = ["nonlocalized", "given", "fact_lookup"]
    table = published_probes(keys)
    assert table.localization.tolist() == published("sports-athlete-editing", keys).localization.tolist()
    assert table["true answer"].tolist() == [0.300, 0.187]
    assert table["edit target, last layer"].tolist() == [0.982, 1.000]
    whole = published_probes(["fact_lookup", "causal_tracing", "attribution_patching_mlps", "random", "all_mlps"])
    assert whole.drop(columns="localization").apply(lambda column: column.between(0, 1)).all(axis=None)
    # Probes say three sports: the true one, the target and one more.
    assert (whole["true answer"] + whole["edit target"] <= 1).all()
