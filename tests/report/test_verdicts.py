"""Verdicts: drawn from the claims file alone, by one rule, as one family, and only where the gates let them."""

import math
from dataclasses import asdict, replace

import pytest
from attack_rows import BEFORE, HARD, row

from mechlib.components import Architecture, Component, Localization, Ungated
from mechlib.report import design, markup, verdicts
from mechlib.report.claims import Claims, declared
from mechlib.report.gates import Evidence, kept_by_attack, overlap, reached, taught
from mechlib.report.robustness import outcomes, shared_setting
from mechlib.stats import wilson

ARCH = Architecture(8, 2, 1, 4, 2, 8)
GATES = {"success": 0.95, "edited": 0.9, "overlap": 0.4, "taught": 0.95, "kept": 0.9, "able": 0.6}
ODDS = {"unedited": 4.0, "fact_lookup": -4.0, "random_mlps": -1.0, "all_mlps": -4.1}
LAYERS = {"fact_lookup": [2, 3], "random_mlps": [3, 6], "all_mlps": range(8), "mlps_5_to_6": [5, 6]}


def claim(key="a", outcome="transfer", rivals=("random_mlps", "all_mlps"), family="primary", **more):
    texts = dict.fromkeys(("sentence", "place", "paper", "released", "source"), "-")
    return {"key": key, **texts, "task": "t", "outcome": outcome, "first": "fact_lookup", "rivals": list(rivals), "sets": 8,
            "rule": "sign-flip", "margin": 0.4, "family": family, **more}  # fmt: skip


def claims(*some, **gates):
    return Claims.model_validate({"gates": {**GATES, **gates}, "claim": list(some or (claim(),))})


def answered(key, group, number, odds, forget_set, at=BEFORE, target=0.97, **more):
    """An answer with these log odds of the true answer over the target, which has a probability of ``target`` where it was trained."""
    probability = math.log(target if more.get("format") == "one_shot" and key != "unedited" else 0.5)
    correct = odds > 0 if group != "maintain" else number < 10 * odds
    more = {"target_log_probability": None if group == "maintain" else probability, "log_probability": probability + odds, **more}
    return row(key, group, number, correct, at, forget_set, **more)


def trained(arms):
    found = {key: Localization.of(key, [Component(layer, "mlp") for layer in layers], ARCH, architecture=vars(ARCH))
             for key, layers in LAYERS.items() if key in arms}  # fmt: skip
    return {key: dict.fromkeys(range(8), one) for key, one in found.items()}


def evidence(odds=ODDS, n_sets=8, success=None, kept=None, lesson=None, relearning=True, added=None):
    """A study of arms with these log odds everywhere; ``success``, ``kept``, ``lesson``, and what relearning ``added``, by arm are odd."""
    asked, attacked = [], []
    for key, value in odds.items():
        for number in range(n_sets):
            target = (success or {}).get(key, {}).get(number, 0.97)
            for form in ("one_shot", "question"):
                asked += [answered(key, "forget", n, value, number, format=form, target=target) for n in range(4)]
                asked += [answered(key, "maintain", n, 1.0, number, format=form) for n in range(10)]
            left, learned = ((some or {}).get(key, 1.0) for some in (kept, lesson))
            for at, share in ((BEFORE, 1.0), (HARD, left)):
                after = value + (added or {}).get(key, 0.0) * (at == HARD)
                attacked += [answered(key, "forget", n, after, number, at) for n in range(4)]
                attacked += [answered(key, "maintain", n, share, number, at) for n in range(10)]
                attacked += [answered(key, "relearned", n, 1.0 if n < 20 * learned else -1.0, number, at) for n in range(20)]
    return Evidence("t", "one_shot", asked, attacked if relearning else [], ("question",), trained(odds))


def drawn(found):
    return {(one.claim.key, one.rival): one.verdict for one in found}


def test_a_verdict_is_of_the_log_odds_and_of_the_whole_family():
    """Eight sets that agree: p is 2 / 2^8, times all four comparisons of two claims."""
    found = verdicts.lines(claims(claim(), claim("b", "relearning")), evidence())
    assert drawn(found) == {("a", "random_mlps"): "supported", ("a", "all_mlps"): "contradicted",
                            ("b", "random_mlps"): "supported", ("b", "all_mlps"): "contradicted"}  # fmt: skip
    assert [one.odds.adjusted for one in found] == [pytest.approx(4 * 2 / 2**8)] * 4
    assert found[0].odds.difference.estimate == pytest.approx(-3) and found[1].odds.difference.estimate == pytest.approx(0.1)
    assert found[0].shares.difference.estimate == 0


def test_families_do_not_pay_for_each_other():
    found = verdicts.lines(claims(claim(rivals=["random_mlps"]), claim("b", "relearning", family="secondary")), evidence())
    assert [one.odds.family for one in found] == [1, 2, 2]


def test_what_was_not_run_is_not_run_and_of_no_family():
    found = verdicts.lines(claims(
        claim(rivals=["random_mlps", "causal_tracing", "late_window"]), claim("b", "relearning", ["random_mlps"]),
        claim("c", "planting"), claim("d", formats=["spanish"]), claim("e", task="another"), claim("f", rule="mixed model"),
    ), evidence(relearning=False))  # fmt: skip
    assert [one.claim.key for one in found if one.verdict != verdicts.NOT_RUN] == ["a"]
    assert "e" not in {one.claim.key for one in found}
    assert found[0].verdict == "supported" and found[0].odds.family == 1


def test_a_claim_about_an_attack_counts_under_it_and_under_no_other():
    attacks = {"own": HARD[0], "other": "LoRA 512, 0.0002"}
    named = [claim(key, "relearning by the paper's attack", attack=attack) for key, attack in attacks.items()]
    found = verdicts.lines(claims(*named), evidence())
    assert drawn(found) == {("own", "random_mlps"): "supported", ("own", "all_mlps"): "contradicted",
                            ("other", "random_mlps"): "not run yet", ("other", "all_mlps"): "not run yet"}  # fmt: skip
    assert [one.odds.adjusted for one in found if one.odds] == [pytest.approx(2 * 2 / 2**8)] * 2


WORDS = claim("d", formats=["spanish", "french"], family="secondary")
AT_GATE, BELOW, ABOVE = wilson(60, 100), wilson(59, 100), wilson(90, 100)


@pytest.mark.parametrize(("able", "verdict"), [
    ({"spanish": AT_GATE, "french": ABOVE}, verdicts.NOT_RUN), ({"spanish": ABOVE, "french": BELOW}, "not testable"),
    ({"french": BELOW}, "not testable"), ({"german": BELOW}, verdicts.NOT_RUN), ({}, verdicts.NOT_RUN),
])  # fmt: skip
def test_a_claim_about_formats_that_the_unedited_model_cannot_answer_in_is_not_testable(able, verdict):
    found = verdicts.lines(claims(claim(), WORDS), replace(evidence(), able=able))
    assert {one.verdict for one in found if one.claim.key == "d"} == {verdict}
    # Other claims, and the sizes of families, are as without it.
    plain = verdicts.lines(claims(), evidence())
    assert [one.odds for one in found if one.odds] == [one.odds for one in plain] and len(plain) == 2
    gave = ", ".join(f"{able[form]} ({form.capitalize()})" for form in WORDS["formats"] if form in able)
    assert found[2].gates == (f"the unedited model gives {gave}" if verdict == "not testable" else "")
    assert (found[2].gates in verdicts.gates_table(found).gates.tolist()) == (verdict == "not testable")


def test_formats_of_some_claims_count_for_no_other():
    """In a second format, which one claim names, nothing differs; of the first alone all sets agree."""
    odds = {"fact_lookup": -4.0, "random_mlps": -1.0}
    study = evidence(odds)
    same = [{**one, "format": "spanish", "log_probability": (one["target_log_probability"] or 0.0) - 1.0}
            for one in study.prompting if one["format"] == "question"]  # fmt: skip
    asked = replace(study, prompting=[*study.prompting, *same], transfer=("question", "spanish"))
    own = claims(claim(rivals=["random_mlps"]), claim("d", rivals=["random_mlps"], formats=["spanish"]))
    gaps = [one.odds.difference.estimate for one in verdicts.lines(own, replace(asked, beyond=("spanish",)))]
    assert gaps == pytest.approx([-3, 0])
    assert verdicts.lines(own, asked)[0].odds.difference.estimate == pytest.approx(-1.5)


def test_what_was_run_is_decided_by_its_rows_where_the_unedited_model_can_answer():
    asked = claim("d", formats=["question"])
    for share, verdict in ((AT_GATE, "supported"), (BELOW, "not testable")):
        found = verdicts.lines(claims(asked), replace(evidence(), able={"question": share}))
        assert drawn(found)["d", "random_mlps"] == verdict
    assert drawn(verdicts.lines(claims(asked), evidence()))["d", "random_mlps"] == "supported"
    assert verdicts.rule(claims(asked), "t").endswith("less than 60\xa0% of the facts that it knows in one of them.")
    assert "not testable" not in verdicts.rule(claims(), "t")


def test_descriptive_claims_have_no_rule():
    own = {**claim(family="descriptive", rule="none")}
    del own["margin"]
    found = verdicts.lines(claims(own), evidence())
    assert {one.verdict for one in found} == {verdicts.DESCRIPTIVE}
    # Also where no rows of pairs are what describes it.
    found = verdicts.lines(claims({**own, "outcome": "latent knowledge"}), evidence())
    assert {(one.odds, one.verdict) for one in found} == {(None, verdicts.DESCRIPTIVE)}


def test_a_gap_after_relearning_is_what_was_there_and_what_the_attack_added():
    odds = {"fact_lookup": -4.0, "random_mlps": -1.0, "all_mlps": -4.0, "unedited": 4.0}
    rises = {"fact_lookup": 0.5, "random_mlps": 0.5, "all_mlps": 3.0}
    found = verdicts.lines(claims(claim(outcome="relearning")), evidence(odds, added=rises))
    there, grew = found
    assert [one.before.difference.estimate for one in found] == pytest.approx([-3, 0])
    assert [one.change.difference.estimate for one in found] == pytest.approx([0, -2.5])
    for one in found:
        assert one.odds.difference.estimate == pytest.approx(one.before.difference.estimate + one.change.difference.estimate)
    assert there.verdict == grew.verdict == "supported"
    shown = verdicts.under_attack(found)
    assert shown.minus.tolist() == ["Random MLPs", "All MLPs"] and shown["added by it"][1].startswith("-2.50")
    assert all(one.before is None for one in verdicts.lines(claims(), evidence()))
    # The rule does not look at it.
    assert verdicts.lines(claims(claim(outcome="relearning")), evidence(odds, added={"all_mlps": -3.0}))[1].verdict == "contradicted"


def test_overlap_is_of_weights():
    """One MLP of three that either trains: a third. A head is inside its layer, so the smaller is what they share."""
    arms = trained(ODDS)
    assert overlap(arms["fact_lookup"], arms["random_mlps"]) == pytest.approx(1 / 3)
    whole, head = (Localization.of("x", [one], ARCH, architecture=vars(ARCH)) for one in (Component(1, "attn"), Component(1, "head", 0)))
    assert overlap({0: whole}, {0: head}) == pytest.approx(head.parameters / whole.parameters)
    assert math.isnan(overlap({}, {0: head}))


def test_overlap_knows_mlps_without_a_gate():
    """Two matrices a layer, not three: one layer of two that either trains, of one size, is a half."""
    ungated = Ungated(**vars(ARCH))
    one, both = (Localization.of("x", [Component(layer, "mlp") for layer in layers], ungated, architecture=asdict(ungated))
                 for layers in ((1,), (0, 1)))  # fmt: skip
    assert overlap({0: one}, {0: both}) == pytest.approx(1 / 2)
    assert 3 * one.parameters == 2 * Localization.of("x", [Component(1, "mlp")], ARCH).parameters


def test_a_pair_that_trains_the_same_weights_is_no_contrast_and_leaves_the_family():
    found = verdicts.lines(claims(overlap=0.3), evidence())
    assert drawn(found) == {("a", "random_mlps"): "not a contrast", ("a", "all_mlps"): "contradicted"}
    assert found[1].odds.family == 1


@pytest.mark.parametrize(("more", "stopped"), [
    ({"success": {"random_mlps": {0: 0.5}}}, "not edited alike"),
    ({"kept": {"random_mlps": 0.8}}, "model broken"),
    ({"lesson": {"random_mlps": 0.9}}, "attack failed"),
    ({"lesson": {"fact_lookup": 0.9}}, "attack failed"),
])  # fmt: skip
def test_a_gate_stops_a_verdict_which_still_counts_in_the_family(more, stopped):
    found = verdicts.lines(claims(claim(outcome="relearning")), evidence(**more))
    assert found[0].verdict == stopped and found[1].verdict == (stopped if "fact_lookup" in more.get("lesson", {}) else "contradicted")
    assert found[1].odds.family == 2


def test_only_relearning_is_stopped_by_what_relearning_broke():
    found = verdicts.lines(claims(), evidence(kept={"random_mlps": 0.5}, lesson={"random_mlps": 0.1}))
    assert drawn(found)["a", "random_mlps"] == "supported" and "taught" not in found[0].gates


def test_a_void_study_has_no_verdict():
    found = verdicts.lines(claims(claim(), claim("b", "relearning")), replace(evidence(), void=True))
    assert {one.verdict for one in found} == {"void"}


def test_gates_by_hand():
    study = evidence(success={"random_mlps": {0: 0.94, 1: 0.95}}, kept={"random_mlps": 0.8}, lesson={"all_mlps": 0.5})
    assert reached(study, "random_mlps", 0.95) == {0: 0, 1: 1, **dict.fromkeys(range(2, 8), 1)}
    assert kept_by_attack(study, "random_mlps", HARD).high == pytest.approx(0.8)
    assert taught(study, "all_mlps", HARD).estimate == 0.5


def test_the_step_is_the_last_one_and_not_the_best():
    last = (HARD[0], HARD[1] + 5)
    study = evidence()
    later = [{**one, "step": last[1], "correct": False} for one in study.relearning if one["setting"] != "none"]
    assert replace(study, relearning=[*study.relearning, *later]).last == last


def test_one_setting_is_the_one_that_would_be_chosen_of_several():
    study = evidence()
    assert study.last == shared_setting(outcomes([row for row in study.relearning if row["step"] in (0, HARD[1])])) == HARD


def test_what_a_verdict_does_not_depend_on_is_not_computed():
    """Families do not pay for each other, so that a claim's verdict is the same beside its own family alone."""
    every = claims(claim(), claim("b", "relearning"), claim("c", "planting", family="secondary"))
    few = every.of_families(every.claim[0].task, {"relearning"})
    assert [one.key for one in few.claim] == ["a", "b"] and few.gates == every.gates
    found, alone = (verdicts.lines(some, evidence()) for some in (every, few))
    assert [one for one in found if one.claim.key in ("a", "b")] == alone
    assert every.of_families(every.claim[0].task, set()).claim == every.of_families("another", {"relearning"}).claim == []


def test_matched_sets_are_those_in_which_both_arms_got_there():
    """Random MLPs failed in two sets of eight, where they say the true answer; in the others nothing differs."""
    odds = {**ODDS, "random_mlps": -4.0}
    study = evidence(odds, success={"random_mlps": {0: 0.5, 1: 0.5}})
    asked = [{**one, "log_probability": one["log_probability"] + 8 * (one["localization"] == "random_mlps" and one["forget_set"] < 2)}
             if one["group"] == "forget" else one for one in study.prompting]  # fmt: skip
    found = verdicts.lines(claims(), replace(study, prompting=asked))
    (line, _) = verdicts.matched_table(found).to_dict("records")
    assert (line["all sets"], line["log odds, all"].split()[0]) == (8, "-2.00")
    assert (line["matched sets"], line["log odds, matched"].split()[0], line["alone, matched"]) == (6, "0.00", "equivalent")
    assert found[0].verdict == "not edited alike" and found[0].matched.family == found[0].odds.family == 2


def test_with_few_sets_there_is_no_inference_and_too_many_lines_are_undecidable():
    assert set(drawn(verdicts.lines(claims(), evidence(n_sets=5))).values()) == {"no inference"}
    found = verdicts.lines(claims(claim(), claim("b", "relearning")), evidence(n_sets=6))
    assert [one.verdict for one in found] == ["undecidable", "equivalent"] * 2


def test_tables_say_what_lines_hold():
    found = verdicts.lines(claims(claim(), claim("b", "planting")), evidence())
    table = verdicts.table(found)
    assert table.verdict.tolist() == ["supported", "contradicted", "not run yet", "not run yet"]
    assert table["p (Holm)"].tolist() == ["0.016", "0.016", "-", "-"] and table.overlap[0] == "0.33"
    assert len(verdicts.table(found, "planting")) == 2 and len(verdicts.table(found, "planting", "transfer")) == 4
    # What a reader looks for stands first, and the claim is told where there are several.
    assert list(table)[:2] == ["minus", "verdict"] and "claim" in table and "claim" not in verdicts.table(found, "planting")
    gates = verdicts.gates_table(found, "transfer")
    assert verdicts.counted(found) == "1 supported, 1 contradicted, 2 not run yet"
    assert list(gates) == ["minus", "gates"] and gates.minus.tolist() == table.minus.tolist()[:2] and all(gates.gates)
    assert len(verdicts.table([])) == len(verdicts.matched_table([])) == len(verdicts.gates_table([])) == 0


def test_arms_that_train_the_same_weights_in_every_set_are_one_edit():
    own = evidence()
    once = {number: own.trains["all_mlps" if number else "random_mlps"][number] for number in range(8)}
    for instead, twin in ((own.trains["all_mlps"], ""), (once, ""), (own.trains["random_mlps"], "random_mlps")):
        first, second = verdicts.lines(claims(), replace(own, trains={**own.trains, "all_mlps": instead}))
        assert (first.twin, second.twin) == ("", twin)
        said = "Random MLPs and All MLPs train the same weights in every forget set: one edit under two names."
        assert verdicts.twins([first, second]) == said * bool(twin)


def test_every_task_has_its_claims_in_words():
    for task in {one.task for one in declared().claim}:
        said = design.stated(declared(), task).data
        for one in declared().of_task(task):
            assert markup.text(one.sentence) in said and f"({one.key};" in said
            assert all(markup.text(some.reason) in said for some in declared().history(one))
            assert said.count("<li>") == sum(len(declared().history(some)) for some in declared().of_task(task))
    assert "(relearning-world;" not in design.stated(declared(), "counterfact-editing", "transfer").data
    assert "none about this task" in design.stated(declared(), "sports-unlearning").data
    text = verdicts.rule(declared(), "sports-athlete-editing")
    assert "0.4 nats" in text and "attack failed" in text
    assert "no verdict" in verdicts.rule(declared(), "sports-unlearning")
