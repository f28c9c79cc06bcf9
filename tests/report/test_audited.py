"""Audits as stages: what the unedited model does is computed once, and an edit's run reads it there."""

import pytest
from editing import edited
from known_facts import ABOUT, FACTS, KNOW, PARTS
from tiny_models import tiny_model

from mechlib.edit.delta import FILE, Delta
from mechlib.evals.depth import depth, references
from mechlib.facts import FORMATS, prompts
from mechlib.facts.reverse import Consequence
from mechlib.runs.stages import residual
from mechlib.runs.stages.residual import AuditSettings, consequences, read_inside
from mechlib.runs.work import Context, Result, Work

SEED = 3
# The tiny tokenizer has no words for the real ones.
PLAIN = Consequence("plain", "sport", "{} plays", {"football": "A", "baseball": "B", "basketball": "C", "golf": "D"})
ASKED = prompts(PARTS.forget[1].facts, FORMATS["one_shot"])


@pytest.fixture(scope="module")
def model():
    return tiny_model("gemma3", world=True)


@pytest.fixture(scope="module")
def edit(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("edit")
    edited(model, ("L1.mlp",), learning_rate=3e-2)[0].save(folder / FILE)
    return Result(folder=folder)


def audited(stage, model, tmp_path, **inputs):
    context = Context(model.spec, FACTS)
    context.model = model
    return stage(Work(context, AuditSettings(ABOUT, SEED), {"known": KNOW, **inputs}, tmp_path))


def of(rows, **about):
    return [row for row in rows if all(row.get(name) == value for name, value in about.items())]


def test_depth_is_measured_against_the_unedited_model_s_own_run(model, edit, tmp_path, monkeypatch):
    unedited = audited(read_inside, model, tmp_path)
    monkeypatch.setattr(residual, "references", lambda *_args, **_more: pytest.fail("the reference was computed again"))
    rows = of(audited(read_inside, model, tmp_path, edit=edit, unedited=unedited).rows, audit="depth")
    changed = Delta.load(edit.folder / FILE).edited(model)
    expected = depth(changed, model, ASKED, references(model, ASKED, SEED, draws=1))
    assert [(row["subject"], row["layer"], row["clean"], row["corrupted"], row["edited"]) for row in rows] == [
        (row.subject, row.layer, row.clean, row.corrupted, row.edited) for row in expected
    ]
    before = of(unedited.rows, audit="depth")
    assert [row["edited"] for row in before] == pytest.approx([row["clean"] for row in before], abs=1e-4)
    assert [row["edited"] for row in rows] != pytest.approx([row["clean"] for row in rows], abs=1e-2)


def test_what_the_unedited_model_knew_is_read_from_its_own_run(model, edit, tmp_path, monkeypatch):
    monkeypatch.setattr(residual, "usable", lambda _model: ([PLAIN], {}))
    unedited = audited(consequences, model, tmp_path).rows
    for name, correct in (("consequence", "passes_before"), ("general", "before")):
        own = of(unedited, ripple=name)
        assert own and [row["correct"] for row in own] == [row[correct] for row in own]
    rows = audited(consequences, model, tmp_path, edit=edit, unedited=Result(unedited)).rows
    for name, before in (("consequence", "passes_before"), ("general", "before")):
        assert [row[before] for row in of(rows, ripple=name)] == [row["correct"] for row in of(unedited, ripple=name)]
        assert [row["option_mass"] for row in of(rows, ripple=name)] != [row["option_mass"] for row in of(unedited, ripple=name)]
    # A model that knew what it did not: it is the run that is believed.
    turned = Result([{**row, "correct": not row.get("correct")} for row in unedited])
    again = audited(consequences, model, tmp_path, edit=edit, unedited=turned).rows
    assert [row["before"] for row in of(again, ripple="general")] == [not row["correct"] for row in of(unedited, ripple="general")]
