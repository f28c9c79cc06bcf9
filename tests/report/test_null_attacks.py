"""An attack beside its nulls, from rows by hand."""

from attack_rows import HARD, answers, row

from mechlib.report.null_attacks import beside_nulls, null_table, without_knowledge
from mechlib.stats import wilson


def dealt(key, right, null="permuted answers"):
    """A null on half 0, whose numbers are even: so many of its five facts are right."""
    return [row(key, "forget", number, number < 2 * right, HARD, null=null) for number in range(0, 10, 2)]


def test_nulls_are_compared_on_the_half_that_they_were_run_on():
    """In half 0 the numbers are even: with the knowledge 3 of 5 come back, without it one; of never-known facts 2 of 5."""
    own = answers("given", HARD, {"forget": 0.5, "unknown": 0.3})
    (found,) = beside_nulls(own, dealt("given", 1), *HARD)
    assert (found.localization, found.n_sets, found.n_facts) == ("given", 1, 5)
    assert found.shares == {"true answers": wilson(3, 5), "never known": wilson(2, 5), "permuted answers": wilson(1, 5)}
    (line,) = null_table([found]).to_dict("records")
    assert (line["forget sets"], line["facts"], line["true answers"]) == (1, 5, "0.60 [0.23, 0.88]")
    assert (line["never known"], line["permuted answers"]) == ("0.40 [0.12, 0.77]", "0.20 [0.04, 0.62]")


def test_without_nulls_the_attack_is_shown_alone():
    found = beside_nulls(answers("given", HARD, {"forget": 0.5, "unknown": 0.3}), [], *HARD)
    assert found[0].shares == {"true answers": wilson(5, 10), "never known": wilson(3, 10)}
    assert without_knowledge(found) == "No null was run."


def test_facts_that_were_never_known_and_edited_are_preferred_and_may_be_missing():
    own = answers("given", HARD, {"forget": 0.5, "unknown": 0.3, "floor": 0.1})
    assert beside_nulls(own, [], *HARD)[0].shares["never known"] == wilson(1, 10)
    assert list(beside_nulls(answers("given", HARD, {"forget": 0.5}), [], *HARD)[0].shares) == ["true answers"]


def test_edits_for_which_a_null_does_as_much_are_named():
    """The attack brings back 3 of 5, and nothing of fact lookup; the unedited model is no edit."""
    own = [one for key, share in (("unedited", 0.5), ("fact_lookup", 0.0), ("random_mlps", 0.5), ("all_mlps", 0.5))
           for one in answers(key, HARD, {"forget": share})]  # fmt: skip
    null = [*dealt("unedited", 5), *dealt("fact_lookup", 0), *dealt("random_mlps", 3), *dealt("all_mlps", 2)]
    assert without_knowledge(beside_nulls(own, null, *HARD)) == (
        "A null brings back at least as much as the attack after an edit at: Random MLPs. "
        "The attack brings back nothing, so that no null could bring back less, after: Fact lookup."
    )
    other = dealt("all_mlps", 4, "retain facts only")
    assert "an edit at: Random MLPs, All MLPs." in without_knowledge(beside_nulls(own, [*null, *other], *HARD))
    some = [one for one in own if one["localization"] == "all_mlps"]
    assert without_knowledge(beside_nulls(some, null[-5:], *HARD)) == "After every edit the attack brings back more than any null."
