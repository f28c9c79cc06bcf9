"""One line an edit, from rows by hand."""

import pytest

from mechlib.report.summaries import edit_summary


def row(subject, form="one_shot", group="forget", key="fact_lookup", **outcomes):
    where = {"localization": key, "forget_set": 0, "relation": "sport", "subject": subject, "format": form, "group": group}
    return {**where, "edited": False, "correct": False, **outcomes}


ASKED = [
    row("A", key="unedited", correct=True),
    row("A", edited=True), row("B", edited=True),
    row("A", "question", edited=True), row("A", "cloze", correct=True), row("B", "question", correct=True),
    row("C", group="maintain", correct=True), row("D", group="maintain"), row("C", "question", group="maintain"),
]  # fmt: skip
CURVES = [
    {"localization": "fact_lookup", "forget_set": number, "seed": 0, "part": 0, "step": step}
    for number in (0, 1)
    for step in range(2 + 2 * number)
]
EDITS = [({"localization": "fact_lookup"}, {"norm": 1.0}), ({"localization": "fact_lookup"}, {"norm": 3.0})]
DAMAGE = [{"localization": "fact_lookup", "loss_before": 1.0, "loss_after": after} for after in (1.5, 1.1)]


def test_a_line_for_each_localization():
    lines = edit_summary(ASKED, CURVES, EDITS, DAMAGE, "one_shot")
    assert list(lines.localization) == ["Unedited", "Fact lookup"]
    line = lines.iloc[1]
    assert line["edited (trained prompt)"].startswith("1.00 [")
    # A holds in one of two other prompts, B in none of one: a fact counts once.
    assert line["edited (other prompts)"].startswith("0.25 [")
    assert line["true (other prompts)"].startswith("0.75 [")
    assert line["maintain"].startswith("0.50 [")
    assert line["text loss"] == pytest.approx(0.3)
    assert (line["norm of the change"], line["steps taken"]) == (2.0, 3.0)


def test_an_unedited_model_has_no_change():
    line = edit_summary(ASKED, CURVES, EDITS, DAMAGE, "one_shot").iloc[0]
    assert (line["text loss"], line["norm of the change"], line["steps taken"]) == (0.0, 0.0, 0.0)
