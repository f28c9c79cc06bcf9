"""A stage trains in this process, or in one for each card that a model lies on or that its edit needs."""

from types import SimpleNamespace

import pytest
import torch
from editing import FORGET, RETAIN, localization

from mechlib.edit.config import EditConfig
from mechlib.edit.general_text import sample
from mechlib.edit.train import edit
from mechlib.facts import athletes
from mechlib.runs.stages.training import trained
from mechlib.runs.work import Context, Work


@pytest.mark.parametrize("cards", [1, 2])
def test_a_stage_has_as_many_processes_as_its_edit_has_cards(tiny_gemma3, monkeypatch, tmp_path, cards):
    asked = []

    def in_processes(*given):
        *given, devices, progress, folder = given
        asked.append((len(devices), folder))
        return edit(*given, progress)

    monkeypatch.setattr("mechlib.edit.processes.edit_in_processes", in_processes)
    monkeypatch.setattr("mechlib.runs.stages.training.cards_of", lambda _model, least: [torch.device("cpu")] * least)
    context = Context(tiny_gemma3.spec, athletes(), lender=SimpleNamespace(model=tiny_gemma3))
    work = Work(context, None, {}, tmp_path)
    config = EditConfig(learning_rate=1e-2, steps=1, retain_batch=3, cards=cards)
    where, texts = localization(tiny_gemma3, ("L1.mlp",)), sample(tiny_gemma3, 4, 8, seed=0)
    delta, (step,) = trained(work, tiny_gemma3, where, FORGET, RETAIN, texts, config)
    assert delta.norm > 0 and step.step == 0
    assert asked == ([(2, tmp_path)] if cards == 2 else [])
