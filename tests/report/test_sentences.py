"""Sentences of pages: each says what was run, and something else where less was run."""

import math

import pytest

from mechlib.report import sentences
from mechlib.report.agreement import uncapped_layers
from mechlib.runs.profiles import PROFILES
from mechlib.runs.study import Study


def test_a_list_has_labels_and_an_empty_one_a_word():
    assert sentences.listed(["fact_lookup", "one_shot"]) == "Fact lookup, One-shot statement"
    assert sentences.listed([]) == "none"


def test_formats_that_were_left_out_are_named():
    possible = Study().kind.possible_formats
    assert sentences.not_asked(Study(formats=possible)) == "none"
    assert sentences.not_asked(Study(formats=[form for form in possible if form != "multiple_choice"])) == "Letter choice"


def test_a_study_without_the_letter_choice_says_so():
    assert "not asked" in sentences.letter_choice(Study(formats=["one_shot", "question"]))


def test_a_letter_choice_in_one_order_claims_no_rotation():
    both = ["one_shot", "multiple_choice"]
    assert "4 rotations" in sentences.letter_choice(Study(profile="full", formats=both))
    assert "one order" in sentences.letter_choice(Study(profile="quick", formats=both))


def probes(accuracies, total=100):
    """Rows of probes at the subject: accuracy of what enters layer 0, 1, ..."""
    wrong = {"control_correct": 0, "position": "subject", "total": total}
    return [{**wrong, "layer": layer, "correct": round(share * total)} for layer, share in enumerate(accuracies)]


def test_the_rule_without_its_cap_reaches_saturation():
    # After layer 0 .3; .1 more after layer 1; within one standard error (.03) of the best, .9, after layer 6; one past that is 7.
    rows = probes([0.25, 0.3, 0.42, 0.5, 0.6, 0.7, 0.8, 0.9, 0.9])
    assert uncapped_layers(rows, 12) == range(1, 8)


def test_whether_the_cap_decided():
    assert sentences.cap([1, 2, 3], range(1, 8)) == "The cap shortened the window: without it the rule gives layers 1 to 7."
    assert sentences.cap([1, 2, 3], range(1, 4)).startswith("The cap changed nothing")


def curve(key, seed, *losses):
    run = {"localization": key, "forget_set": 0, "seed": seed, "part": 0}
    return [{**run, "step": step, "forget": loss} for step, loss in enumerate(losses)]


def test_an_edit_counts_as_successful_by_its_last_loss():
    low, high = -math.log(0.96), -math.log(0.5)
    reached = [*curve("fact_lookup", 0, high, low), *curve("fact_lookup", 1, high, low)]
    assert sentences.success(reached, 0.95) == "All 2 edits got there."
    # A loss that was low and rose again is no success.
    failed = curve("random_mlps", 0, low, high)
    assert "Only 2 of 3" in sentences.success([*reached, *failed], 0.95)
    assert "(Random MLPs 0 of 1)" in sentences.success([*reached, *failed], 0.95)
    assert "same number of steps" in sentences.success(failed, 1.0)


def test_localizations_without_trials_are_named():
    assert sentences.untuned(Study(localizations=["fact_lookup", "random_mlps"])) == "No trials were made for Causal tracing."
    assert "every localization" in sentences.untuned(Study(profile="full", localizations=PROFILES["full"].localizations))


def test_half_of_a_cross_fit_claims_half():
    assert "every fact is tested" in sentences.cross_fitting(2)
    assert "only half" in sentences.cross_fitting(1)


def test_nulls_on_some_sets_do_not_claim_all():
    rows = [{"forget_set": number} for number in (0, 1, 2, 0)]
    assert sentences.null_sets(rows, rows[:2]) == "2 of 3 forget sets"
    assert sentences.null_sets(rows, []) == "no forget set"


def test_kinds_come_in_the_order_in_which_they_are_drawn():
    text = sentences.shared_with_facts(("same template", "unrelated"))
    assert text.index("same template") < text.index("unrelated")
    assert "same topic" not in text


def test_the_control_of_rounding_is_claimed_only_where_it_was_run():
    assert "was not run" in sentences.rounding_control(("int4_64", "nf4"))
    assert "is the control" in sentences.rounding_control(("bfloat16", "nf4"))


def test_sentences_have_no_markup_because_a_built_page_would_show_it():
    said = [sentences.shared_with_facts(("same template", "unrelated", "new")), *map(sentences.rounding_control, ((), ("bfloat16",)))]
    assert not {"*", "`"} & {*"".join(said)}


@pytest.mark.parametrize(
    ("shares", "text"),
    [
        ({"fact_lookup": 0.125, "random_mlps": 0.125, "all_mlps": 0.25},
         "The least comes back after Fact lookup, Random MLPs (0.12), the most after All MLPs (0.25)."),
        ({"fact_lookup": 0.5, "random_mlps": 0.5}, "As much comes back after every localization (0.50)."),
    ],
)  # fmt: skip
def test_a_tie_is_called_one(shares, text):
    assert sentences.extremes(shares) == text


@pytest.mark.parametrize(("shares", "text"), [
    ({"fact_lookup": 1.0, "random_mlps": 0.6875, "all_mlps": 0.6875}, "the lowest share after an edit is 69\xa0% (Random MLPs, All MLPs)"),
    ({"fact_lookup": 0.875, "random_mlps": 1.0}, "the lowest share after an edit is 88\xa0% (Fact lookup)"),
    ({"fact_lookup": 1.0, "random_mlps": 0.998}, "the share is 100\xa0% after every edit"),
    ({"fact_lookup": 1.0}, "it is the only edit here"),
])  # fmt: skip
def test_nobody_is_the_least_of_those_that_are_alike(shares, text):
    assert sentences.lowest(shares) == text


def test_the_best_of_one_try_is_no_best():
    assert "one setting was tried" in sentences.attacker(1) and "flattered" not in sentences.attacker(1)
    assert "The best of 4 tries is flattered by chance" in sentences.attacker(4)


def test_an_attack_that_breaks_the_unedited_model_tells_nothing():
    broken, whole = (sentences.ceiling(one, 1.0, 0.22) for one in (True, False))
    assert broken.startswith("Yet the attack breaks it, too (maintain accuracy 100\xa0% to 22\xa0%)") and "ceiling" not in broken
    assert whole.endswith("it is the ceiling.") and "breaks" not in whole
    assert "is not shown" in sentences.describes(True) and "exact p" in sentences.describes(False)


def test_what_intervals_are_over_depends_on_the_number_of_sets():
    assert sentences.unit(8, 8) == "Intervals (95 %) are over forget sets."
    assert sentences.unit(2, 1) == sentences.unit(5, 5) == "Intervals (95 %) are over facts."
    assert sentences.unit(6, 5) == "Intervals (95 %) are over forget sets, after attacks over facts."


def test_the_schedule_of_edits_is_that_of_their_settings():
    full, fixed = Study(profile="full").training("fact_lookup", 0, 0), Study(profile="paper").training("fact_lookup", 0, 0)
    assert "constant after a warm-up of 5 steps" in sentences.schedule([full, full]) and "cosine" not in sentences.schedule([full])
    assert sentences.schedule([fixed]) == "a cosine schedule" and " or " in sentences.schedule([full, fixed])


def test_formats_that_the_model_can_use_are_told_from_void_ones():
    assert sentences.usable([], ["cloze"]) == "The model answers clearly above chance in every format that is asked"
    assert sentences.usable(["cloze"], ["cloze"]) == "In no format does the model answer clearly above chance"
    told = sentences.usable(["multiple_choice"], ["cloze", "question", "multiple_choice"])
    assert told == "The model answers clearly above chance in cloze, question; not in letter choice"


def test_names_and_words_follow_from_what_was_run():
    assert sentences.both(["fact_lookup"]) == "Fact lookup" and sentences.both([]) == ""
    assert sentences.both(["fact_lookup", "random_mlps"]) == "Fact lookup and Random MLPs"
    assert sentences.both(["fact_lookup", "random_mlps", "all_mlps"]) == "Fact lookup, Random MLPs and All MLPs"
    # With one setting nothing was chosen, and there is one panel.
    assert sentences.combined(1) == sentences.panels(1) == sentences.hollow(False) == "" and "most" not in sentences.chosen(1)
    assert "every rank" in sentences.combined(4) and "each" in sentences.panels(4) and "brings back most" in sentences.chosen(4)
    assert "void" in sentences.hollow(True)
    assert sentences.texts_again(32, 2, 15) == "" and sentences.texts_again(33, 2, 17).startswith("From step 17 on")
