"""Outcomes that are no answers: layers above both edits, and what zeroed weights take beyond what they take of facts to maintain."""

import math
from dataclasses import replace

import pytest
from test_audits import probe
from test_verdicts import claim, claims, evidence

from mechlib.report import verdicts
from mechlib.report.gathered import Stored
from mechlib.report.inside import above_both, by_mechanism, by_size, probed, reach, selective, shared_sizes, telling_size, zeroed
from mechlib.runs.impossible import ImpossibleError
from mechlib.runs.store import Store
from mechlib.runs.study import Study

TWO = {"unedited": 4.0, "fact_lookup": -4.0, "random_mlps": -1.0}
PROBES = claim("p", "latent knowledge", ["random_mlps"], family="inside")
MASKS = claim("m", "weights masked", ["random_mlps"], family="inside")


def read(key, layer, odds, forget_set=0, subject="A", **more):
    return probe(key, "true" if odds > 0 else "other", layer=layer, forget_set=forget_set, subject=subject, log_odds=odds, **more)


def inside(odds, n_sets=8, layers=9, **more):
    """Probes in every layer: ``odds`` by arm above the last layer that it edits, and 5 below it."""
    last = {"unedited": -1, "fact_lookup": 3, "random_mlps": 6}
    return [read(key, layer, value if layer > last[key] else 5.0, number, subject, **more)
            for key, value in odds.items() for layer in range(layers) for number in range(n_sets) for subject in "AB"]  # fmt: skip


def with_probes(rows, **more):
    return replace(evidence(TWO, **more), inside=probed(rows))


def test_a_true_answer_is_held_against_all_others_where_a_relation_has_few():
    """Facts to maintain of athletes have no target; those of an open relation without one count nowhere."""
    def answer(group, probability, is_open, target=None):
        return {"localization": "fact_lookup", "forget_set": 0, "size": 10, "group": group, "format": "one_shot", "subject": group,
                "open": is_open, "relation": "sport", "correct": True, "probability": probability, "log_probability": -1.0,
                "target_log_probability": target}  # fmt: skip

    def odds(*rows):
        (row,) = selective(replace(evidence(TWO), zeroed=rows), "fact_lookup", "fact_lookup")
        return row["odds"]

    assert odds(answer("forget", 0.2, False, -3.0), answer("maintain", 0.75, False)) == pytest.approx(math.log(0.2 / 0.8) - math.log(3))
    assert odds(answer("forget", 0.0, False), answer("maintain", 1.0, False)) == pytest.approx(2 * math.log(1e-6 / (1 - 1e-6)))
    wide = [answer("forget", 0.2, True, -3.0), answer("maintain", 0.75, True, -2.0), answer("maintain", 0.1, True)]
    assert odds(*wide) == pytest.approx(2.0 - 1.0)


def test_outcomes_that_another_page_decides_are_of_no_family_of_this_one():
    """A page asks for the runs of its own outcomes alone, and the front page must not count what happens to be stored besides."""
    study = replace(with_probes(inside(TWO)), zeroed=[{"any": 1}])
    for outcomes, left in (({"latent knowledge"}, (True, False)), ({"weights masked"}, (False, True)), ({"transfer"}, (False, False))):
        own = study.about(outcomes)
        assert (bool(own.inside), bool(own.zeroed)) == left and own.prompting == study.prompting


def test_only_layers_above_both_edits_count():
    """Layers 4 to 6 are above the edit at fact lookup and not above the other: there it is not compared."""
    study = with_probes(inside({"unedited": 5.0, "fact_lookup": -2.0, "random_mlps": 1.0}))
    assert {row["layer"] for row in above_both(study, "fact_lookup", "random_mlps")} == {7, 8}
    (line,) = verdicts.lines(claims(PROBES), study)
    assert line.odds.difference.estimate == pytest.approx(-3) and line.shares.difference.estimate == pytest.approx(-1)
    assert (line.verdict, line.odds.n_sets, line.odds.p) == ("supported", 8, pytest.approx(2 / 2**8))


def test_layers_in_which_a_probe_cannot_read_count_nowhere():
    """Of one arm or of the unedited model alone is enough."""
    odds = {"unedited": 5.0, "fact_lookup": -2.0, "random_mlps": 1.0}
    for blind in odds:
        rows = [{**row, "held_out_correct": 40} if (row["localization"], row["layer"]) == (blind, 8) else row for row in inside(odds)]
        assert {row["layer"] for row in above_both(with_probes(rows), "random_mlps", "fact_lookup")} == {7}
    none = [{**row, "held_out_correct": 40} for row in inside(odds)]
    (line,) = verdicts.lines(claims(PROBES), with_probes(none))
    assert line.verdict == verdicts.NOT_RUN


def test_probes_elsewhere_and_other_audits_are_not_meant():
    rows = [read("fact_lookup", 8, 1.0), read("fact_lookup", 8, 1.0, position="subject"), {"audit": "depth", "log_odds": 1.0}]
    assert [row["odds"] for row in probed(rows)] == [1.0]


@pytest.mark.parametrize(("more", "verdict"), [
    ({"success": {"random_mlps": {0: 0.5}}}, "not edited alike"), ({"kept": {"random_mlps": 0.1}}, "supported"),
])  # fmt: skip
def test_probes_are_judged_by_the_gates_of_edits_and_not_by_those_of_an_attack(more, verdict):
    study = with_probes(inside({"unedited": 5.0, "fact_lookup": -2.0, "random_mlps": 1.0}), **more)
    (line,) = verdicts.lines(claims(PROBES), study)
    assert line.verdict == verdict


def answer(key, size, group, odds, forget_set=0, subject="A", form="one_shot"):
    return {"localization": key, "forget_set": forget_set, "size": size, "group": group, "format": form, "subject": subject,
            "relation": "r", "log_probability": odds - 1.0, "target_log_probability": -1.0, "correct": odds > 0}  # fmt: skip


def masked(lost, n_sets=8, sizes=(10, 100)):
    """By arm, the log odds of facts to forget and to maintain; at the larger size 2 less of either."""
    return [answer(key, size, group, value - 2 * (size == 100), number, subject)
            for key, own in lost.items() for group, value in zip(("forget", "maintain"), own, strict=True)
            for size in sizes for number in range(n_sets) for subject in ("A", "B")]  # fmt: skip


def test_what_is_lost_of_other_facts_counts_against_an_arm():
    """Fact lookup takes less of the forget set, and so much less of the rest that it is the more selective."""
    study = replace(evidence(TWO), zeroed=masked({"fact_lookup": (0, 3), "random_mlps": (-1, -1)}))
    (line,) = verdicts.lines(claims(MASKS), study)
    assert line.odds.difference.estimate == pytest.approx(-3) and line.verdict == "supported" and line.gates == "no edit, no gate"
    # Edits that failed are no matter of masks.
    failed = evidence(TWO, success={"random_mlps": dict.fromkeys(range(8), 0.5)})
    (again,) = verdicts.lines(claims(MASKS), replace(failed, zeroed=study.zeroed))
    assert again == line


def test_only_sizes_that_both_masks_reach_and_the_trained_prompt_count():
    rows = masked({"fact_lookup": (0, 3), "random_mlps": (-1, -1)}, 1)
    reach = [({"localization": key, "forget_set": 0}, {"masked": most}) for key, most in (("fact_lookup", 500), ("random_mlps", 50))]
    left = zeroed(rows, reach)
    assert {(row["localization"], row["size"]) for row in left} == {("fact_lookup", 10), ("fact_lookup", 100), ("random_mlps", 10)}
    assert {row["size"] for row in shared_sizes(left)} == {10} and shared_sizes([]) == []
    odd = [answer("fact_lookup", 10, "forget", 9.0, form="question"),
           {**answer("fact_lookup", 10, "forget", 9.0), "target_log_probability": None}]  # fmt: skip
    study = replace(evidence(TWO, 1), zeroed=[*left, *odd])
    assert [(row["size"], row["odds"]) for row in selective(study, "fact_lookup", "random_mlps")] == [(10, -3.0), (10, -3.0)]


def test_what_is_left_by_size_is_a_line_a_localization_and_size():
    study = replace(evidence(TWO), zeroed=masked({"random_mlps": (-1, -1), "fact_lookup": (1, 3)}))
    table = by_size(study)
    assert [tuple(line) for line in table[["localization", "weights at zero", "forget sets"]].to_numpy()] == [
        ("Random MLPs", 10, 8), ("Random MLPs", 100, 8), ("Fact lookup", 10, 8), ("Fact lookup", 100, 8)]  # fmt: skip
    assert table["log odds, forget"].tolist() == [-1, -3, 1, -1] and table["log odds, maintain"].tolist() == [-1, -3, 3, 1]
    assert [cell[:4] for cell in table.forget] == ["0.00", "0.00", "1.00", "0.00"]


def test_the_size_that_tells_most_is_where_shares_are_furthest_apart():
    def rows(**shares):
        return [{"localization": key, "size": size, "forget_set": 0, "seed": 0, "subject": str(n), "correct": n / 4 < share}
                for key, own in shares.items() for size, share in own.items() for n in range(4)]  # fmt: skip

    assert telling_size(rows(a={10: 1.0, 100: 0.5, 1000: 0.0}, b={10: 0.75, 100: 0.0, 1000: 0.0})) == 100
    assert telling_size(rows(a={10: 1.0, 100: 0.5}, b={10: 0.5, 100: 1.0})) == 10


def test_masks_and_mechanisms_are_means_over_forget_sets():
    def run(key, number, weights, masked, covers, zeroes):
        kinds = ("heads", "MLPs")
        parts = [[{"mechanism": kind, "share": one} for kind, one in zip(kinds, own, strict=True)] for own in (covers, zeroes)]
        value = {"weights": weights, "masked": masked, "covered": parts[0], "zeroed": {"30": parts[1]}}
        return {"localization": key, "forget_set": number}, value

    values = [run("random_mlps", 0, 100, 20, (0.0, 0.5), (0.0, 0.25)), run("fact_lookup", 0, 80, 40, (0.0, 1.0), (0.0, 0.0)),
              run("random_mlps", 1, 300, 50, (0.0, 1.0), (0.0, 0.75))]  # fmt: skip
    masks, mechanisms = reach(values), by_mechanism(values, 30)
    assert masks.columns.tolist() == ["localization", "forget sets", "localized weights", "masks below 1"]
    assert masks.to_numpy().tolist() == [["Random MLPs", 2, 200, 35], ["Fact lookup", 1, 80, 40]]
    assert mechanisms.columns.tolist() == ["localization", "forget sets", "covers heads", "covers MLPs", "zeroes heads", "zeroes MLPs"]
    assert mechanisms.to_numpy().tolist() == [["Random MLPs", 2, 0, 0.75, 0, 0.5], ["Fact lookup", 1, 0, 1, 0, 0]]


def test_log_odds_and_shares_may_point_in_opposite_directions():
    """Fact lookup pushes the forget set further away, and takes the true answers of other facts with it."""
    against = masked({"fact_lookup": (-9, -1), "random_mlps": (-1, 3)}, sizes=(10,))
    found = verdicts.lines(claims(MASKS), replace(evidence(TWO), zeroed=against))
    assert verdicts.opposed(found, "weights masked") == "They point in opposite directions for fact lookup minus Random MLPs."
    assert verdicts.opposed(found, "transfer") == "Here they point the same way."
    alike = masked({"fact_lookup": (-9, 3), "random_mlps": (1, 3)}, sizes=(10,))
    found = verdicts.lines(claims(MASKS), replace(evidence(TWO), zeroed=alike))
    assert verdicts.opposed(found, "weights masked") == "Here they point the same way."


@pytest.mark.parametrize("own", [PROBES, MASKS], ids=["probes", "masks"])
def test_without_rows_it_was_not_run(own):
    (line,) = verdicts.lines(claims(own), evidence(TWO))
    assert line.verdict == verdicts.NOT_RUN


def test_the_rule_says_what_is_compared():
    found = claims(claim(), PROBES, MASKS)
    said = {outcome: verdicts.rule(found, "t", outcome) for outcome in ("", "latent knowledge", "weights masked")}
    assert "probes" in said["latent knowledge"] and "model broken" in said["latent knowledge"]
    assert "zeroed weights" in said["weights masked"] and "model broken" not in said["weights masked"]
    assert said[""].startswith("Of log p(true)")


def test_a_study_with_a_rescaled_edit_has_no_masks(tmp_path):
    study = Study(task="counterfact-editing", localizations=("fact_lookup", "all_mlps", "all_mlps@fact_lookup"))
    with pytest.raises(ImpossibleError, match="only an edit can have another's norm"):
        Stored(study, Store(tmp_path)).rows("zeroed")
