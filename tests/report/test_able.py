"""What the unedited model gives in formats that only some claims ask for: of the facts that it knows, and only if all of it was asked."""

import math
from dataclasses import dataclass, field

import pytest
from attack_rows import row as answer

from mechlib.report.able import able, asked_beyond, in_words, table
from mechlib.report.gathered import gather
from mechlib.runs.impossible import ImpossibleError
from mechlib.runs.study import Study
from mechlib.stats import wilson


def row(subject, correct, form="few_shot", sure=0.9, **more):
    return {"relation": "sport", "subject": subject, "format": form, "correct": correct, "open": False, "probability": sure, **more}


KNOWN = [row("A", True), row("B", True), row("C", True, sure=0.5), row("D", False, sure=0.1)]


def test_the_share_is_of_known_facts_alone():
    """C and D are not known: they get no more than half of the probability."""
    asked = [row(name, name in "AC", form) for form in ("spanish", "word_choice") for name in "ABCD"]
    found = able(KNOWN, [*asked, row("A", False, "german")], 0.5)
    assert found == {"spanish": wilson(1, 2), "word_choice": wilson(1, 2), "german": wilson(0, 1)}
    assert (found["spanish"].estimate, able(KNOWN, asked, 0.4)["spanish"].estimate) == (0.5, pytest.approx(2 / 3))


def test_a_fact_is_known_by_relation_and_by_all_tokens_of_an_open_one():
    sure = [row("A", True, relation="maker", open=True, log_probability=math.log(0.6), probability=0.1)]
    assert able(sure, [row("A", True, "spanish")], 0.5) == {}
    assert able(sure, [row("A", True, "spanish", relation="maker")], 0.5) == {"spanish": wilson(1, 1)}


def test_nothing_known_or_asked_is_no_share():
    assert able([], [row("A", True, "spanish")], 0.5) == able(KNOWN, [], 0.5) == {}
    assert len(table({}, 0.6)) == 0


def test_readers_see_shares_with_their_intervals():
    found = {"word_choice": wilson(41, 100), "spanish": wilson(70, 100)}
    assert in_words(found) == "the unedited model gives 0.41 [0.32, 0.51] (Word choice), 0.70 [0.60, 0.78] (Spanish)"
    assert table(found, 0.6).to_dict("records") == [
        {"format": "Word choice", "known facts given": "0.41 [0.32, 0.51]", "gate": "0.60"},
        {"format": "Spanish", "known facts given": "0.70 [0.60, 0.78]", "gate": "0.60"},
    ]


def test_what_the_table_says_is_said_where_there_is_one():
    told = asked_beyond(("spanish",), {"spanish": wilson(70, 100)})
    assert "Such formats of this task: Spanish. Of the facts" in told and "gate" in told
    alone = asked_beyond(("spanish", "french"), {})
    assert alone.endswith("Such formats of this task: Spanish, French. The unedited model was not asked in them here.")
    assert asked_beyond((), {}) == ""


@dataclass
class Given:
    """A source that has these rows, and cannot have others."""

    has: dict
    decides: tuple = ()
    study: Study = field(default_factory=lambda: Study(formats=("few_shot", "question")))

    def rows(self, need):
        if need not in self.has:
            raise ImpossibleError(need)
        return self.has[need]

    def values(self, need):
        return []


def test_evidence_holds_it_where_both_runs_are_there():
    asked = [answer("unedited", "forget", n, True, format=form, forget_set=0) for form in ("few_shot", "question") for n in range(32)]
    edits, beyond = {"prompting": asked, "unedited": asked[:32]}, [row("A", True, "spanish"), row("B", False, "spanish")]
    assert gather(Given({**edits, "know": KNOWN, "able": beyond})).able == {"spanish": wilson(1, 2)}
    # The model may not be asked so; and of a task without such formats nobody asks what is known.
    assert gather(Given({**edits, "know": KNOWN})).able == gather(Given({**edits, "able": beyond})).able == {}
    assert gather(Given({**edits, "able": []})).able == {}
