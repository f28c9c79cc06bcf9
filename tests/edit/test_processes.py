"""An edit in two processes, each with a share of every layer, is the edit of one process; one that dies or stands still ends it."""

import math
import multiprocessing
import os
import signal
from dataclasses import astuple, replace
from datetime import timedelta

import pytest
import torch
from editing import FORGET, LOCALIZATIONS, RETAIN, bits, localization, same
from tiny_models import tiny_model

from mechlib.edit import processes
from mechlib.edit.config import EditConfig
from mechlib.edit.delta import EditError
from mechlib.edit.general_text import sample
from mechlib.edit.processes import edit_in_processes
from mechlib.edit.train import edit
from mechlib.models import tensors
from mechlib.models.spread import spread

TWO = [torch.device("cpu")] * 2
# Of the norm of the change, and of a loss: sums are made in another order. Measured: none, and 2e-7.
FAR = 1e-3
CONFIG = EditConfig(learning_rate=1e-2, steps=3, retain_batch=3, precision="float32")


@pytest.fixture(scope="module")
def model():
    return tiny_model("gemma3")


def asked(model, config=CONFIG, where=LOCALIZATIONS["mixed"]):
    return model, localization(model, where), FORGET, RETAIN, sample(model, 4, 8, seed=0), config


def distance(one, other):
    """Of two deltas, as a part of the first one's norm."""
    assert list(one.blocks) == list(other.blocks)
    return math.hypot(*(torch.dist(one.blocks[block].float(), other.blocks[block].float()).item() for block in one.blocks)) / one.norm


@pytest.mark.parametrize(("family", "config"), [
    # Three prompts in seven and one text of two: parts are not alike, and one process has a part that does not count.
    ("gemma3", replace(CONFIG, micro_batch=3, kl_coefficient=0.5, stop_at=0.999)),
    # Fused matrices, layers that compute again, and states in 8 bits.
    ("phi3", replace(CONFIG, checkpointing=True, optimizer="adamw8bit", text_batch=1)),
])  # fmt: skip
def test_two_processes_make_the_edit_of_one(family, config, tmp_path):
    model, done = tiny_model(family), []
    expected, curve = edit(*asked(model, config))
    model = spread(model, TWO)  # as a model on two cards is
    before = bits(model)
    found, history = edit_in_processes(*asked(model, config), TWO, lambda now, of: done.append((now, of)), tmp_path)
    assert distance(expected, found) < FAR
    for one, other in zip(history, curve, strict=True):
        assert (one.kl is None) == (other.kl is None)
        assert astuple(replace(one, kl=one.kl or 0.0)) == pytest.approx(astuple(replace(other, kl=other.kl or 0.0)), rel=FAR, abs=1e-5)
    assert done == [(step + 1, config.steps) for step in range(config.steps)]
    assert found.provenance["config"]["learning_rate"] == expected.provenance["config"]["learning_rate"]
    assert same(bits(model), before)
    assert not list(tmp_path.iterdir())
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(("sent", "patience"), [(signal.SIGKILL, 300), (signal.SIGSTOP, 8)], ids=["dies", "stands still"])
def test_a_process_that_dies_or_stands_still_ends_the_edit_in_one_line(model, tmp_path, sent, patience):
    def strike(now, _of):
        if now == 1:
            os.kill(multiprocessing.active_children()[-1].pid, sent)

    before = bits(model)
    with pytest.raises(EditError, match="a process of the edit has died") as caught:
        edit_in_processes(*asked(model, replace(CONFIG, steps=10_000)), TWO, strike, tmp_path, timedelta(seconds=patience))
    assert "\n" not in str(caught.value)
    assert same(bits(model), before)
    assert not list(tmp_path.iterdir())
    assert not multiprocessing.active_children()


def test_what_an_edit_raises_is_raised_here(model, tmp_path):
    with pytest.raises(EditError, match="the edit diverged: .* lower LEARNING_RATE"):
        edit_in_processes(*asked(model, replace(CONFIG, learning_rate=1e20, steps=9)), TWO, folder=tmp_path)


def test_what_cannot_be_asked_is_refused_before_any_process(model, monkeypatch):
    monkeypatch.setattr(processes, "start_processes", lambda *_given: pytest.fail("started"))
    one, where, forget, retain, texts, config = asked(model)
    with pytest.raises(EditError, match="an edit needs facts to forget"):
        edit_in_processes(one, where, [], retain, texts, config, TWO)
    with pytest.raises(EditError, match="no edit target"):
        edit_in_processes(one, where, retain, forget, texts, config, TWO)


def test_a_full_disk_is_one_line(model, monkeypatch):
    def full(*_given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tensors, "save_file", full)
    with pytest.raises(EditError, match="No space left on device: make room there"):
        edit_in_processes(*asked(model), TWO)
