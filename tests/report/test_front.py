"""The front page and the cards: what they say of claims that were run, of some, and of none."""

import pytest
from small_book import ROOT

from mechlib.report import front_text, markup
from mechlib.report.book_studies import BookStudy
from mechlib.report.card import card
from mechlib.report.claims import MISSED, Claims
from mechlib.report.forest import forest
from mechlib.report.front import Book, Decided, decided
from mechlib.report.front_text import (
    added,
    by_name,
    earlier,
    everywhere,
    general,
    headline,
    published,
    shares,
    sought,
    stored,
    table,
    unrun,
)
from mechlib.report.next_door import EARLIER, OUTCOMES
from mechlib.report.standing import DECIDED_ON, SHOWN_ON, TOLD, could_see, standings, would_change
from mechlib.report.tables import named as small
from mechlib.report.typed import read_typed
from mechlib.report.verdicts import NO_CONTRAST, NOT_RUN, NOT_TESTABLE, Line
from mechlib.runs.store import Store
from mechlib.runs.study import Study
from mechlib.stats import compare

CLAIMS = read_typed(ROOT / "book" / "claims.toml", Claims)
TRANSFER, RELEARNING = (next(one for one in CLAIMS.claim if one.key == key) for key in ("transfer-athletes", "relearning-athletes"))


def line(claim, rival, gap=None, sets=8, **more):
    """A comparison whose gap is the same in each set, up to a little."""
    if gap is None:
        return Line(claim, rival, **more)
    first = {number: [gap + 0.01 * number, gap] for number in range(sets)}
    return Line(claim, rival, 0.1, compare(first, {number: [0.0, 0.0] for number in range(sets)}, "lower", margin=0.4), **more)


def standing(*found):
    return standings(list(found))[0]


def told(*found, page=None):
    return [Decided(one, Study() if one.run else None, page, "athletes") for one in standings(list(found))]


FOUND = (line(TRANSFER, "causal_tracing", -2.0), line(TRANSFER, "random_mlps", 0.1), line(TRANSFER, "late_window", -0.0175),
         line(TRANSFER, "all_mlps", 1.5), line(TRANSFER, "nonlocalized"),
         line(TRANSFER, "attribution_patching", -1.0, stopped="not edited alike"))  # fmt: skip


def test_a_claim_stands_as_its_comparisons_do():
    found = standing(*FOUND)
    assert list(found.by_verdict) == ["supported", "contradicted", "equivalent", "not edited alike", NOT_RUN]
    assert found.run and found.n_sets == 8
    assert "supported 1" in found.verdict and f"{NOT_RUN} 1" in found.verdict
    assert standing(line(TRANSFER, "a"), line(TRANSFER, "b")).verdict == NOT_RUN
    assert standing(line(TRANSFER, "causal_tracing", -2.0, sets=2)).verdict == "no inference"


def test_what_would_change_a_verdict_is_said_for_each_that_there_is():
    text = would_change(standing(*FOUND), CLAIMS.gates)
    assert f"{CLAIMS.gates.success:g}" in text and "supported: " in text and "not run yet: running it" in text
    few = would_change(standing(line(TRANSFER, "causal_tracing", -2.0, sets=2)), CLAIMS.gates)
    assert f"declares {TRANSFER.sets}" in few
    described = TRANSFER.model_copy(update={"rule": "none", "margin": None, "family": "descriptive"})
    assert "rule" in would_change(standing(line(described, "random_mlps")), CLAIMS.gates)
    assert len(set(TOLD)) == len(TOLD)
    # Training longer gives nothing back that was lost when a trained change was rescaled.
    assert "not edited alike: more steps: " in text
    norm = next(one for one in CLAIMS.claim if one.outcome.endswith(" at equal norm"))
    rescaled = would_change(standing(line(norm, "all_mlps", -1.0, stopped="not edited alike")), CLAIMS.gates)
    assert "rescaled less" in rescaled and "more steps" not in rescaled


def test_what_could_have_been_seen_is_the_longer_half_of_the_interval_where_nothing_was_found():
    found = compare({n: [value] for n, value in enumerate((-1.0, 3.0, -2.0, 2.0, -3.0, 1.5))}, {n: [0.0] for n in range(6)}, "lower")
    interval = found.difference
    reach = max(interval.high - interval.estimate, interval.estimate - interval.low)
    open_one, stopped = Line(TRANSFER, "random_mlps", odds=found), Line(TRANSFER, "all_mlps", odds=found, stopped="model broken")
    assert found.verdict in ("undecided", "undecidable") and reach > 1
    said = could_see(standing(open_one, stopped, line(TRANSFER, "causal_tracing", -2.0), line(TRANSFER, "nonlocalized")))
    assert said == (f"at 8 forget sets a difference of at least {reach:.2f} nats (Random MLPs) would have been told from zero "
                    "by itself (95 %); with Holm's correction only a larger one")  # fmt: skip
    assert could_see(standing(stopped, line(TRANSFER, "causal_tracing", -2.0))) == ""
    assert markup.text(said) in card(Study(), [standing(open_one, line(TRANSFER, "causal_tracing", -2.0))], CLAIMS.gates)


def test_every_claim_is_shown_on_a_page():
    assert [one.key for one in CLAIMS.claim if one.outcome not in DECIDED_ON] == []


def test_what_was_planted_is_told_with_its_differences_and_verdicts():
    own = [one for one in CLAIMS.claim if one.rule == "balanced"]
    assert [one.measure for one in own] == ["transfer", "relearning"]
    found = [line(own[0], "other_site", -2.0), line(own[1], "other_site", 1.0)]
    said = stored(told(*found, *FOUND))
    for one, asked in zip(found, ("in prompts that were not trained", "after half of the facts were taught again"), strict=True):
        assert f"{asked} {one.odds.difference} nats ({one.verdict})" in said
    assert stored(told(*FOUND)) == "" and stored([]) == ""


def test_what_depth_does_by_itself_and_what_the_papers_attack_does_are_told_where_they_were_run():
    own = [one for one in CLAIMS.claim if one.task == "planted-everywhere"]
    assert [one.measure for one in own] == ["transfer", "relearning"]
    found = [line(own[0], "late_mlps", -2.0), line(own[1], "late_mlps", 1.0)]
    said = everywhere(told(*found, *FOUND))
    assert f"in prompts that were not trained {found[0].odds.difference} nats (supported)" in said and "(contradicted)" in said
    (claim,) = (one for one in CLAIMS.claim if one.measure == MISSED)
    missed = [line(claim, "causal_tracing_mlps", -0.5), line(claim, "random_mlps")]
    said = sought(told(*missed, *FOUND))
    assert f"misses, minus causal tracing (MLPs) {missed[0].odds.difference} (supported)." in said and "nats" not in said
    assert sought(told(*FOUND)) == sought([]) == ""
    (claim,) = (one for one in CLAIMS.claim if one.attack)
    attacked = [line(claim, "causal_tracing", -2.0), line(claim, "late_window")]
    said = published(told(*attacked, *FOUND))
    assert said.startswith("Under the paper's own attack (quick, 2 forget sets, 1 seed), an edit") and "last" not in said
    assert f"minus causal tracing {attacked[0].odds.difference} nats (supported)" in said
    assert everywhere(told(*FOUND)) == published(told(*FOUND)) == everywhere([]) == published([]) == ""


def test_places_that_lie_earlier_are_told_and_those_that_lie_later_are_not():
    own = [one for one in CLAIMS.claim if one.outcome in OUTCOMES]
    assert [one.measure for one in own] == ["transfer", "relearning"] and all({*EARLIER} < {*one.rivals} for one in own)
    found = [line(one, rival, gap + 3 * number) for number, one in enumerate(own)
             for gap, rival in enumerate((*EARLIER, "mlps_after"), -2)]  # fmt: skip
    said = earlier(told(*found, *FOUND))
    for one in found:
        asked = "in prompts that were not trained" if one.claim == own[0] else "after half of the facts were taught again"
        assert (f"{asked} {one.odds.difference} nats ({one.verdict})" in said) == (one.rival in EARLIER)
    assert said.index(EARLIER["mlps_before"]) < said.index(EARLIER["window_0_of_9"]) and said.count("nats") == 4
    assert earlier(told(*FOUND)) == "" and earlier(told(found[2])) == ""
    assert said.count("the first ones") == 1 and "the first ones" not in earlier(told(found[0]))


def test_the_headline_answers_and_counts_what_the_next_sentence_names():
    found = told(*FOUND, line(RELEARNING, "causal_tracing", -1.0, sets=2))
    said = headline(found, "m")
    assert said == ("In part. An edit at fact lookup in m: on athletes (quick, 2 forget sets, 1 seed) it outlasts 1 of 5 other edits in "
                    "prompts not trained (2 outlast it, 1 lasts as long) and none of 1 other edit after relearning "
                    "(no verdict).")  # fmt: skip
    arm, *columns = by_name(found).columns
    assert columns == ["athletes, in prompts not trained", "athletes, after relearning"]
    named = by_name(found).set_index(arm)
    assert named[columns[0]].to_dict() == {
        "causal tracing": "supported", "random MLPs": "contradicted", small("late_window"): "equivalent", "all MLPs": "contradicted",
        "nonlocalized": NOT_RUN, "attribution patching": "not edited alike",
    }  # fmt: skip
    assert named[columns[1]].to_dict() == {name: "no inference" if name == "causal tracing" else "-" for name in named.index}
    assert headline([], "m") == "No run that a claim rests on is there yet for m." and by_name([]).empty


def test_one_edit_under_two_names_is_counted_once_and_said_to_be_one():
    found = told(line(TRANSFER, "causal_tracing", -2.0), line(TRANSFER, "attribution_patching", -2.0, twin="causal_tracing"))
    assert "outlasts 1 of 1 other edit in" in headline(found, "m")
    assert front_text.gaps(found) == "1 comparison: 1 for fact lookup (1 more is an edit under a second name)"
    html = card(Study(), [found[0].standing], CLAIMS.gates)
    assert "Attribution patching (the same edit as Causal tracing) -1.9" in html


def test_the_headline_says_which_gaps_the_attack_widened_and_shares_stand_beside_log_odds():
    def attacked(rival, change, share):
        sets = {number: [0.0] for number in range(8)}
        own = {number: [change + 0.01 * number] for number in range(8)}
        beside = compare({number: [share + 0.001 * number] for number in range(8)}, sets, "lower")
        return line(RELEARNING, rival, -2.0, before=compare(sets, sets, "lower"), change=compare(own, sets, "lower"), shares=beside)

    found = told(attacked("causal_tracing", -1.0, -0.2), attacked("random_mlps", 0.0, 0.1))
    assert "2 of 2 other edits after relearning (the attack itself widened 1 of these gaps)" in headline(found, "m")
    assert shares(found).endswith("on athletes after relearning less than after 1 of 2 others.")
    assert shares(told(*FOUND)) == shares([]) == ""


@pytest.mark.parametrize(("gaps", "more", "answer"), [
    ((-2.0, -1.0), {}, "Yes"), ((-2.0, 1.5), {}, "In part"), ((-2.0, None), {}, "Yes"), ((1.5, 1.0), {}, "Not as claimed"),
    ((-0.01,), {}, "Not as claimed"), ((-2.0,), {"stopped": "model broken"}, "Not decided"),
])  # fmt: skip
def test_the_answer_is_drawn_from_the_verdicts_alone(gaps, more, answer):
    arms = ("causal_tracing", "random_mlps")
    found = told(*(line(TRANSFER, arm, gap, **more) for arm, gap in zip(arms, gaps, strict=False)))
    assert headline(found, "m").startswith(f"{answer}. An edit at fact lookup in m: ")


def test_the_forest_is_titled_by_how_many_comparisons_favour_each_side():
    assert front_text.gaps(told(*FOUND)) == ("5 comparisons: 1 for fact lookup, 2 for the other edit, 1 without a difference that matters, "
                                             "1 without a verdict")  # fmt: skip
    assert front_text.gaps([]) == "No comparison was run yet"


def test_pairs_that_are_no_contrast_are_not_counted():
    found = told(line(TRANSFER, "causal_tracing", -2.0), line(TRANSFER, "random_mlps", -1.0, stopped=NO_CONTRAST))
    assert "on athletes (quick, 2 forget sets, 1 seed) it outlasts 1 of 1 other edit in" in headline(found, "m")


def test_gaps_that_were_there_before_the_attack_are_told_from_those_that_it_made():
    sizes = {"causal_tracing": (-2.0, 0.0), "all_mlps": (0.0, -2.0)}
    found = [line(RELEARNING, arm, -2.0, before=line(RELEARNING, arm, before).odds, change=line(RELEARNING, arm, change).odds)
             for arm, (before, change) in sizes.items()]  # fmt: skip
    said = added(told(*found, line(RELEARNING, "random_mlps", 1.0), *FOUND))
    assert "on athletes: the attack itself brought back more after all MLPs; for causal tracing the gap was there before" in said
    assert "random MLPs" not in said and added(told(*FOUND)) == added([]) == ""


def test_claims_about_some_formats_are_in_the_table_and_not_in_the_sentence():
    words = next(one for one in CLAIMS.claim if one.formats)
    found = told(line(words, words.rivals[0], -1.0))
    assert general(found) == [] and words.sentence.split(":")[0] in table(found)


def test_what_a_model_cannot_be_asked_about_is_said_on_its_card_and_in_the_table():
    words = next(one for one in CLAIMS.claim if one.formats)
    gave = "the unedited model gives 0.41 [0.31, 0.51] (Word choice)"
    found = told(*(line(words, rival, gates=gave, stopped=NOT_TESTABLE) for rival in words.rivals))
    (one,) = found
    assert (one.verdict, one.standing.unable, one.standing.run, one.study) == (NOT_TESTABLE, gave, False, None)
    assert "<b>not testable</b>" in table(found) and "the unedited model</td>" in table(found) and general(found) == []
    assert unrun(found) == "Of 1 claim, 1 cannot be tested on this model."
    both = [*found, *told(line(RELEARNING, "all_mlps"))]
    assert unrun(both) == "Of 2 claims, 1 was not run yet, and 1 cannot be tested on this model."
    html = card(Study(), [one.standing], CLAIMS.gates)
    asked = f"at least {CLAIMS.gates.able:.2f}"
    assert f"of the facts that it knows, {gave}; {asked} are asked for" in html
    assert "not testable: another model, which answers so: with at least 60\xa0% of the facts" in html
    assert standing(line(words, words.rivals[0])).unable == ""


def test_a_book_without_runs_says_so_of_every_claim(tmp_path, monkeypatch):
    monkeypatch.setattr("mechlib.runs.specs.localizing.fingerprint", lambda spec: spec.name)
    mine = BookStudy(key="mine", title="mine", task="counterfact-editing", profile="quick", pages=["06_prompting"])
    found = decided(Book(tmp_path, Store(tmp_path / "runs"), "gemma-3-270m", [mine]), CLAIMS)
    assert [one.standing.claim.key for one in found] == [one.key for one in CLAIMS.claim]
    assert {one.verdict for one in found} == {NOT_RUN}
    assert table(found).count("<b>not run yet</b>") == len(CLAIMS.claim)
    assert unrun(found).startswith(f"Of {len(CLAIMS.claim)} claims, {len(CLAIMS.claim)}")
    assert len(forest(general(found)).data) == 0
    assert [path for path in tmp_path.rglob("*")] == []


def test_a_link_leads_to_the_section_that_decides(tmp_path):
    page = tmp_path / "full-mine" / "06_prompting.ipynb"
    assert 'href="../full-mine/06_prompting.html#the-verdict"' in table(told(*FOUND, page=page))


def test_every_page_that_shows_claims_is_there_and_is_opened_by_its_own_name():
    for path in sorted((ROOT / "book").glob("[0-9][0-9]_*.py")):
        assert f'open_page(globals(), "{path.stem}"' in path.read_text(), path.stem
    outcomes = {one.outcome for one in CLAIMS.claim}
    assert {*DECIDED_ON} <= outcomes and all((ROOT / "book" / f"{name}.py").is_file() for name in SHOWN_ON)
    for name, shown in SHOWN_ON.items():
        assert all(DECIDED_ON[one] == name for one in shown) or name == "17_which_edit_lasts"


def test_a_counterpart_stands_beside_the_verdicts_and_is_not_counted():
    (claim, _) = (one for one in CLAIMS.claim if one.counterparts)
    found = [line(claim, "mlps_before", -0.0175), line(claim, "mlps_after", -4.0), line(claim, "window_0_of_9", 2.0)]
    assert standing(*found).verdict == f"contradicted 1, {found[0].verdict} 1 (and supported where either explanation predicts it)"
    assert standing(*found[:2]).verdict == f"{found[0].verdict} (and supported where either explanation predicts it)"
    assert standing(*(line(claim, rival) for rival in claim.rivals)).verdict == NOT_RUN
    for wrong in (["late_window"], list(claim.rivals)):
        with pytest.raises(ValueError, match="a counterpart is no rival, or all rivals are"):
            type(claim).model_validate({**claim.model_dump(), "counterparts": wrong})
