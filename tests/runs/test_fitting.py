"""As many prompts at once as memory has room for: computed by hand, and without another edit."""

from dataclasses import replace

import pytest
from planning import EDIT, offline

from mechlib.runs.fitting import fitted, prompts_at_once
from mechlib.runs.memory import memory
from mechlib.runs.plan import Machine, plan
from mechlib.runs.stages import EDIT as EDITS
from mechlib.runs.study import Study

NEEDS = replace(EDIT, training=replace(EDIT.training, precision="bfloat16"))
# A token costs 2 layers of 4 x (48 + 32) numbers in bfloat16 and 7 streams of 32 in float32, a row of logits 3 x 100 numbers.
TOKEN, LOGITS = 2 * (4 * (48 + 32) * 2 + 7 * 32 * 4), 3 * 100 * 4
# All at once there are 10 + 20 x 20 tokens of prompts and 2 x 24 of texts, and 20 + 48 rows; in parts a row for each of 48 tokens of texts.
BASE = NEEDS.total - TOKEN * (10 + 20 * 20 + 48) - LOGITS * (20 + 48)


@pytest.mark.parametrize(
    ("free", "prompts"),
    [
        (NEEDS.total, None),
        (NEEDS.total - 1, 20),
        (BASE + LOGITS * 48 + TOKEN * (10 + 20 * 7), 7),
        (BASE + LOGITS * 48 + TOKEN * (10 + 20 * 7) - 1, 6),
        (BASE + LOGITS * 48 + TOKEN * (10 + 20 * 2), 2),
        # One prompt at once is one text at once, too.
        (BASE + LOGITS * 24 + TOKEN * (10 + 20), 1),
        (0, 1),
    ],
)
def test_as_many_prompts_as_fit(free, prompts):
    assert prompts_at_once(NEEDS, free) == prompts


@pytest.fixture
def store(tmp_path, monkeypatch):
    return offline(tmp_path, monkeypatch)


def test_an_edit_that_does_not_fit_at_once_is_the_same_run_in_parts(store):
    study = Study(localizations=("fact_lookup", "nonlocalized"), precision="bfloat16")
    wanted = [(study, [spec for _, spec in study.runs("damage")])]
    needs = memory(study, study.edit("nonlocalized", 0, 0), store, accelerator=False)
    here = Machine("a machine", 2 * (needs.total - 1), accelerator=False, at_once=2, shared=True)
    (_, found), *_ = fitted(wanted, store, here)
    assert [spec.id for spec in found] == [spec.id for spec in wanted[0][1]]
    edits = [spec.inputs["edit"] for spec in found]
    assert edits and all(edit.stage is EDITS for edit in edits)
    assert {edit.settings.training.micro_batch for edit in edits} == {prompts_at_once(needs, needs.total - 1)} != {None}
    made = plan(fitted(wanted, store, here), store, here)
    assert made.largest is not None and made.largest.total <= needs.total - 1
    assert f"{made.largest.training.micro_batch} prompts at once" in str(made)


@pytest.mark.parametrize("free", [10**15, None])
def test_nothing_changes_where_all_fits_or_memory_is_not_known(store, free):
    study = Study(localizations=("nonlocalized",), precision="bfloat16")
    wanted = [(study, [spec for _, spec in study.runs("damage")])]
    ((_, found),) = fitted(wanted, store, Machine("a machine", free, accelerator=False))
    assert all(after is before for after, before in zip(found, wanted[0][1], strict=True))


def test_micro_batches_that_are_asked_for_stay(store):
    study = Study(localizations=("nonlocalized",), precision="bfloat16", micro_batch=5)
    ((_, (edit, *_)),) = fitted([(study, [study.edit("nonlocalized", 0, 0)])], store, Machine("a machine", 1, accelerator=False))
    assert edit.settings.training.micro_batch == 5


def test_an_edit_that_one_card_cannot_hold_is_the_same_run_in_shares_on_all(store):
    study = Study(localizations=("nonlocalized",), precision="bfloat16")
    wanted = [(study, [study.edit("nonlocalized", 0, 0)])]
    needs = memory(study, wanted[0][1][0], store, accelerator=True)
    least = replace(needs, training=replace(needs.training, micro_batch=1)).total
    for free, cards in ((least, 1), (least - 1, 4)):
        here = Machine("a card", free, accelerator=True, cards=4)
        ((_, (edit,)),) = fitted(wanted, store, here)
        assert edit.id == wanted[0][1][0].id
        assert edit.settings.training.cards == cards
        assert plan([(study, [edit])], store, here).largest.total <= free
    alone = Machine("a card", least - 1, accelerator=True)
    assert fitted(wanted, store, alone)[0][1][0].settings.training.cards == 1


def test_cards_are_chosen_where_micro_batches_are_asked_for(store):
    study = Study(localizations=("nonlocalized",), precision="bfloat16", micro_batch=5)
    ((_, (edit,)),) = fitted([(study, [study.edit("nonlocalized", 0, 0)])], store, Machine("a card", 1, accelerator=True, cards=2))
    assert (edit.settings.training.cards, edit.settings.training.micro_batch) == (2, 5)
