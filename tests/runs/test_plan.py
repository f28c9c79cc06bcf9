"""A plan counts what is missing, and what cannot fit is refused with what would help."""

import re
from dataclasses import replace
from types import SimpleNamespace

import psutil
import pytest
import torch
from planning import EDIT, finish, offline

from mechlib.checks import ParameterError
from mechlib.edit.config import EditConfig
from mechlib.localize.registry import PAPER
from mechlib.runs.plan import Machine, Plan, check, machine, plan
from mechlib.runs.profiles import PROFILES
from mechlib.runs.study import Study


@pytest.fixture(autouse=True)
def bfloat16(monkeypatch):
    """The numbers below are those of an edit whose precision nobody asked for where bfloat16 is fast."""
    monkeypatch.setenv("MECHLIB_PRECISION", "bfloat16")


@pytest.fixture
def store(tmp_path, monkeypatch):
    return offline(tmp_path, monkeypatch)


def test_missing_runs_are_counted_with_their_inputs(store):
    study = Study(localizations=PAPER, precision="bfloat16")
    made = plan([(study, [spec for _, spec in study.runs("edit")])], store)
    # Seven localizations are chosen once, the two random ones for each of the two forget sets.
    assert made.missing == {"known": 1, "texts": 1, "evidence": 3, "localize": 11, "edit": 18}
    assert made.seconds["edit"] == pytest.approx(18 * study.edit("fact_lookup", 0, 0).seconds)
    text = str(made)
    assert text.startswith("34 runs to compute, about ")
    assert "estimate" in text
    assert "Most memory: edit: Nonlocalized, forget set 0, seed 0 of gemma-3-270m; its matrices have 100,270,080 weights" in text
    finish(store, study.known)
    again = plan([(study, [spec for _, spec in study.runs("edit")]), (study, [study.known])], store)
    assert again.missing == {stage: count for stage, count in made.missing.items() if stage != "known"}


def test_time_grows_with_steps(store):
    made = [plan([(study, [study.edit("nonlocalized", 0, 0)])], store) for study in (Study(steps=5), Study(steps=20))]
    cost, usual = Study().edit("fact_lookup", 0, 0).seconds, PROFILES["quick"].steps
    assert [one.seconds["edit"] for one in made] == pytest.approx([cost * 5 / usual, cost * 20 / usual])
    assert made[0].seconds["known"] == made[1].seconds["known"]


def test_nothing_missing(store):
    finish(store, Study().known)
    made = plan([(Study(), [Study().known])], store)
    assert (made.missing, made.largest, str(made).splitlines()) == ({}, None, [str(made)])
    check(made)


def made(free, **settings):
    return Plan({"edit": 1}, {"edit": 20.0}, replace(EDIT, training=EditConfig(steps=10, **settings)), Machine("a machine", free))


def test_the_computer_is_the_machine_where_there_is_no_accelerator_with_memory_of_its_own(monkeypatch):
    computer = Machine("this computer", 7)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=7))
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: None)
    assert machine() == computer
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device("mps"))
    assert machine() == computer


def test_an_accelerator_is_the_machine_by_its_free_memory(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
    monkeypatch.setattr(torch.accelerator, "get_memory_info", lambda: (24_000, 80_000))
    assert machine() == Machine("a card", 24_000)


def test_more_than_an_accelerator_holds_may_train_by_what_lies_aside():
    """Nothing trained means nothing aside: else too many weights would be said to fit."""
    needs = replace(EDIT, aside=4608)
    free = needs.total - 1
    with pytest.raises(ParameterError, match="train at most ([0-9,]+) weights") as caught:
        check(Plan({"edit": 1}, {"edit": 20.0}, needs, Machine("a machine", free)))
    most = int(re.search("at most ([0-9,]+) weights", str(caught.value))[1].replace(",", ""))
    assert replace(EDIT, trained=most, aside=most).total <= free < replace(EDIT, trained=most + 1, aside=most + 1).total


def test_what_fits_is_not_complained_about():
    check(made(EDIT.total))


@pytest.mark.parametrize(
    ("free", "settings", "says"),
    [
        # MICRO_BATCH=1 keeps 30 tokens' activations instead of 458, 8-bit states save 27,504 bytes.
        (2_283_000, {}, "set MICRO_BATCH=1 or OPTIMIZER=adamw8bit, or train at most 2,746 weights instead of 4,608"),
        (2_283_000, {"optimizer": "adamw8bit", "precision": "float32"}, "set MICRO_BATCH=1 or PRECISION=bfloat16$"),
        (975_000, {}, "set MICRO_BATCH=1$"),
        (930_000, {}, "set MICRO_BATCH=1 OPTIMIZER=adamw8bit$"),
        # Nothing trained still needs weights, their copies in bfloat16 and the activations: 876,928 bytes.
        (900_000, {}, "free: set MICRO_BATCH=1 OPTIMIZER=adamw8bit and train at most 2,872 weights instead of 4,608$"),
        (861_200, {"optimizer": "adamw8bit", "micro_batch": 1}, "free: set PRECISION=float32 and train at most 1,060 weights"),
        (1_000, {}, "no setting helps, 0.88 MB are needed with nothing trained"),
    ],
)
def test_what_does_not_fit_is_one_line_that_helps(free, settings, says):
    with pytest.raises(ParameterError, match=says) as caught:
        check(made(free, **settings))
    assert "\n" not in str(caught.value)
    assert f"and a machine has {free / 1e6:.2f} MB free" in str(caught.value)
