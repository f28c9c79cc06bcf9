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
from mechlib.runs.progress import duration
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


def test_cards_that_are_about_as_free_as_the_first_count(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 4)
    monkeypatch.setattr(torch.accelerator, "get_memory_info", lambda number=0: ([24_000, 23_500, 9_000, 80_000][number], 80_000))
    assert machine() == Machine("a card", 24_000, cards=3)


def test_a_plan_says_what_each_of_several_cards_needs():
    shared = made(EDIT.total, cards=4)
    assert "its weights in shares on 4 cards, on each of them:" in str(shared)
    with pytest.raises(ParameterError, match=r"and each of 4 cards \(a machine\) has 0.00 MB free"):
        check(made(1_000, cards=4))


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


def test_several_at_once_take_their_share_but_no_less_than_the_longest_chain(store):
    study = Study(localizations=("all_mlps",), precision="bfloat16")
    wanted = [(study, [spec for _, spec in study.runs("edit")])]
    one, two, many = (plan(wanted, store, Machine("a cluster", None, False, at_once=jobs)) for jobs in (1, 2, 1000))

    def longest(spec):
        return spec.seconds + max(map(longest, spec.inputs.values()), default=0.0)

    chain = max(longest(spec) for _, spec in study.runs("edit"))
    assert one.longest == pytest.approx(chain)
    assert "at once" not in str(one)
    assert f"On a cluster, 2 at once: about {duration(max(sum(two.seconds.values()) / 2, chain))}" in str(two)
    assert f"On a cluster, 1000 at once: about {duration(chain)}" in str(many)


def test_memory_that_is_not_known_before_a_run_is_there_refuses_nothing():
    unknown = replace(made(0), machine=Machine("a cluster", None))
    check(unknown)
    assert "not known  a cluster" in str(unknown)


def test_a_machine_that_takes_no_run_is_named_only_if_one_is_missing():
    refused = Machine("a cluster", None, refused="Invalid account: change SLURM=")
    for ask, missing in ((check, {"known": 1}), (str, {"known": 1}), (check, {})):
        asked = Plan(missing, dict.fromkeys(missing, 1.0), None, refused)
        if ask is check and missing:
            with pytest.raises(ParameterError, match="^Invalid account: change SLURM=$"):
                check(asked)
        elif missing:
            assert str(asked).endswith("execute will refuse this: Invalid account: change SLURM=")
        else:
            check(asked)


def test_the_disk_must_hold_the_weights_of_all_edits(store):
    study = Study(localizations=("nonlocalized",), precision="bfloat16")
    made = plan([(study, [spec for _, spec in study.runs("edit")])], store)
    # 100,270,080 weights in each of two edits, four bytes each, and room for the rows of all runs.
    assert made.disk is not None
    needs = 2 * 4 * 100_270_080 + 100_000 * sum(made.missing.values())
    assert made.disk[0] == needs and made.missing["edit"] == 2
    check(replace(made, disk=(needs, needs), machine=Machine("a machine", 10**15)))
    with pytest.raises(ParameterError, match=r"^the runs need about 0\.80 GB of disk and 0\.80 GB are free: .*MECHLIB_RUNS"):
        check(replace(made, disk=(needs, needs - 1), machine=Machine("a machine", 10**15)))
    assert "Disk: about 0.80 GB for weights of edits and rows" in str(made)
