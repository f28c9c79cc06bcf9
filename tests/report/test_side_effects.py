"""Side effects and consequences: rows made by hand to shares, means and counts that can be checked by hand."""

import pytest

from mechlib.evals.benchmarks import SIGNAL
from mechlib.report import audits, side_effects


def arm(key, forget_set=0, **more):
    return {"localization": key, "forget_set": forget_set, "seed": 0, **more}


def text(key, number, source="prose", loss=1.0, divergence=0.0, **more):
    return arm(key, text=number, source=source, loss_before=2.0, loss_after=2.0 + loss, divergence=divergence, **more)


def other(key, subject, before=True, correct=True, relation="capital", **more):
    return arm(key, ripple="general", subject=subject, relation=relation, before=before, correct=correct, **more)


def backward(key, subject, auc=0.5, target_auc=0.5, wording=0, **more):
    return arm(key, ripple="reverse", subject=subject, wording=wording, auc=auc, target_auc=target_auc, **more)


def followed(key, subject, kind="league", correct=True, edited=False, passes=True, **more):
    return arm(key, ripple="consequence", subject=subject, kind=kind, correct=correct, edited=edited, passes_before=passes, **more)


def shares(table):
    return {(line["localization"], line["measure"]): line["share"] for line in table.to_dict("records")}


def test_text_damage_is_a_mean_over_texts_of_each_source():
    rows = [text("random", 0, loss=1.0, divergence=0.2), text("random", 1, loss=0.0, divergence=0.4),
            text("random", 0, source="samples", loss=-1.0, divergence=0.1), text("fact_lookup", 0, loss=3.0)]  # fmt: skip
    table = side_effects.text_damage(rows)
    assert shares(table) == pytest.approx({
        ("random", "loss change, prose"): 0.5, ("random", "divergence, prose"): 0.3, ("fact_lookup", "loss change, prose"): 3.0,
        ("fact_lookup", "divergence, prose"): 0.0, ("random", "loss change, samples"): -1.0, ("random", "divergence, samples"): 0.1,
    })  # fmt: skip
    assert ((table.low <= table["share"]) & (table["share"] <= table.high)).all()
    shown = side_effects.text_table(table)
    assert list(shown.columns) == ["loss change, prose", "divergence, prose", "loss change, samples", "divergence, samples"]
    assert shown.loc["Random components", "divergence, samples"] == "0.100"


def test_the_interval_of_a_divergence_is_cut_at_zero_and_that_of_a_loss_is_not():
    """Texts of 0 and .2 nats: the mean is .1, and Student's interval of two numbers reaches 12.7 tenths below it."""
    rows = [text("random", number, loss=value, divergence=value) for number, value in enumerate((0.0, 0.2))]
    shown = side_effects.text_table(side_effects.text_damage(rows)).loc["Random components"]
    assert shown["loss change, prose"] == "0.100 [-1.171, 1.371]"
    assert shown["divergence, prose"] == "0.100 [0.000, 1.371]"


def test_costs_are_those_after_the_last_part_averaged_over_sets_beside_the_text():
    def changed(key, norm, forget_set=0, part=0, parameters=1000):
        return {"localization": key, "forget_set": forget_set, "seed": 0, "part": part}, {"parameters": parameters, "norm": norm}

    edits = [changed("fact_lookup", 9.0), changed("fact_lookup", 1.0, part=1), changed("fact_lookup", 9.0, forget_set=1),
             changed("fact_lookup", 2.0, forget_set=1, part=1, parameters=3000), changed("random", 4.0, part=1)]  # fmt: skip
    table = side_effects.costs([text("fact_lookup", 0, loss=0.5), text("random", 0, loss=1.0)], edits)
    assert list(table.index) == ["Fact lookup", "Random components"]
    assert list(table["weights"]) == ["2,000", "1,000"]
    assert list(table["norm of the change"]) == ["1.50", "4.00"]
    assert table.loc["Fact lookup", "loss change, prose"] == "0.500"


def test_other_facts_count_where_the_unedited_model_was_right():
    rows = [other("random", "Paris"), other("random", "Rome", correct=False), other("random", "Bonn", before=False),
            other("random", "Paris", relation="language", correct=False)]  # fmt: skip
    # The same subject in another relation is another fact.
    assert len({row["subject"] for row in side_effects.general(rows)}) == 3
    maintain = [arm("random", subject=f"{number}", group="maintain", correct=number > 0) for number in range(4)]
    maintain += [arm("random", subject="Z", group="forget", correct=False)]
    table = side_effects.facts_kept(maintain, rows)
    assert shares(table) == pytest.approx({("random", "maintain facts"): 0.75, ("random", "facts of other relations"): 1 / 3})
    assert table.n.tolist() == [4, 3]


def test_backwards_averages_wordings_within_a_fact():
    rows = [backward("random", "A", 1.0, 0.0), backward("random", "A", 0.5, 0.5, wording=1), backward("random", "B", 0.25, None)]
    assert shares(side_effects.backwards(rows)) == {("random", "true answer"): 0.5, ("random", "edit target"): 0.25}


@pytest.mark.parametrize(("unedited", "known"), [((0.9, 0.8, 0.7), True), ((0.9, 0.2, 0.4), False), ((0.5, 0.5, 0.5), False)])
def test_backwards_there_is_something_to_lose_only_above_chance(unedited, known):
    rows = [backward("unedited", f"{number}", auc) for number, auc in enumerate(unedited)]
    rows += [backward("fact_lookup", f"{number}", 0.9) for number in range(3)]
    assert side_effects.known_backwards(rows) == known
    measures = side_effects.carried_through(rows)
    assert len(measures["AUC of the true answer, reversed"].rows) == (6 if known else 0)


def test_consequences_count_where_the_unedited_model_draws_them():
    rows = [followed("unedited", "A"), followed("unedited", "B", correct=False, passes=False), followed("unedited", "A", kind="title"),
            followed("random", "A", correct=False, edited=True), followed("random", "B", edited=True, passes=False),
            followed("random", "A", kind="title")]  # fmt: skip
    counts = side_effects.consequence_counts(rows)
    assert counts.to_dict("records") == [{"kind": "league", "asked": 2, "passed": 1}, {"kind": "title", "asked": 1, "passed": 1}]
    assert shares(side_effects.consequence_shares(rows)) == {
        ("unedited", "true answer"): 1.0, ("random", "true answer"): 0.5, ("unedited", "edit target"): 0.0, ("random", "edit target"): 0.5,
    }  # fmt: skip


def test_the_three_claims_are_compared_with_their_own_directions():
    rows = []
    for number in range(8):
        for key, auc, kept in (("unedited", 0.9, True), ("fact_lookup", 0.3, True), ("random", 0.9, False)):
            for subject in "AB":
                rows.append(backward(key, subject, auc, forget_set=number))
                rows.append(followed(key, subject, correct=key != "fact_lookup", forget_set=number))
                rows.append(other(key, subject, correct=kept, forget_set=number))
    table = audits.comparisons(side_effects.carried_through(rows), "fact_lookup", ["random"])
    assert table.expected.tolist() == ["lower", "lower", "higher"]
    assert table.p.tolist() == ["0.008"] * 3
    assert [text.split()[0] for text in table.difference] == ["-0.60", "-1.00", "1.00"]


def test_without_rows_there_are_tables_without_lines():
    for table in (side_effects.text_damage([]), side_effects.facts_kept([], []), side_effects.backwards([]),
                  side_effects.consequence_counts([]), side_effects.consequence_shares([])):  # fmt: skip
        assert len(table) == 0
    assert not side_effects.known_backwards([])
    assert len(audits.comparisons(side_effects.carried_through([]), "fact_lookup", ["random"])) == 0


def test_signal_says_which_benchmarks_have_something_to_lose():
    table = side_effects.signal("gemma-3-270m").set_index("benchmark")
    assert list(table.index) == [one.name for one in SIGNAL["gemma-3-270m"]]
    assert table.signal[["ARC (easy)", "MMLU", "BoolQ"]].tolist() == ["yes", "no", "no"]
    assert list(side_effects.signal("another").columns) == ["benchmark", *table.columns]
    assert len(side_effects.signal("another")) == 0
