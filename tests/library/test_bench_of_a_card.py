"""What is measured on an accelerator runs whole on a tiny model here; the numbers themselves only mean something there."""

import csv
import math

import pytest
import torch
from small_book import save_facts, save_model
from tiny_models import word_tokenizer

from mechlib.components import Architecture
from mechlib.edit.train import EditConfig
from mechlib.models import LanguageModel
from mechlib.runs.memory import Sizes
from mechlib.runs.study import Study
from tests.bench.card import Aim, Row, Shape, measured, needs, planned, random_llama, study, trained, write
from tests.bench.steps import Trained

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def shape():
    return Shape(Sizes(Architecture(3, 4, 2, 32, 8, 48), len(word_tokenizer()), tied=False), (0, 1), torch.float32, facts=8)


def test_every_part_of_it_is_measured(shape):
    told = []
    rows = measured(shape, CPU, told.append)
    assert all(math.isfinite(row.value) and row.value > 0 for row in rows)
    assert told == list(map(str, rows))
    assert [row.what for row in rows if str(row.aim)] == [
        "attribution patching in plain forward passes", "exact patching of 15 heads and MLPs", "of it in a plain loop, all prompts at once",
        "its share of the rate of a large product", "of it in a plain loop, in parts of 1", "of it with LoRA 512",
    ]  # fmt: skip


def test_a_step_is_counted_by_its_products(shape):
    """An MLP of the first two layers, forward and backward: more operations the more weights train."""
    model = random_llama(shape, CPU)
    settings = EditConfig(retain_batch=4, precision="float32")
    few, all_of_it = (trained(model, shape, layers).operations(settings) for layers in (shape.lookup[1:], None))
    assert 0 < few < all_of_it


def test_a_plan_of_it_has_room_for_all_that_trains(shape):
    """Masters, gradients and two states of every trained weight, in float32; and less the fewer prompts are kept at a time."""
    what = trained(random_llama(shape, CPU), shape, None)
    usual, one = (planned(what, shape, EditConfig(retain_batch=4, precision="float32", micro_batch=size)) for size in (None, 1))
    weights = what.found.to_json()["components"]
    assert len(weights) == 6 and usual > one > 16 * shape.sizes.localizable / 1e9


def test_an_edit_that_a_card_has_no_room_for_is_a_line_that_is_not_met(shape, monkeypatch):
    """The first in every mode fails; nothing is left out, and what comes after it is measured."""
    model, peaks = random_llama(shape, CPU), iter([1e9, 2e9] * 8)
    monkeypatch.setattr(Trained, "seconds", full_at_first())
    monkeypatch.setattr(LanguageModel, "device", torch.device("meta"))
    for name, told in (("empty_cache", None), ("reset_peak_memory_stats", None), ("max_memory_allocated", 1)):
        monkeypatch.setattr(torch.accelerator, name, lambda told=told: told and next(peaks))
    monkeypatch.setattr("tests.bench.card.planned", lambda *_given: 1.0)
    rows = needs(model, shape)
    assert len(rows) == 16 and (rows[0].value, rows[0].aim.met(rows[0].value)) == (math.inf, "no")
    assert [row.value for row in rows[2:6]] == [1.0, 1.0, 2.0, 0.5]


def full_at_first():
    calls = []

    def seconds(_trained, _settings):
        calls.append(1)
        if len(calls) == 1:
            raise torch.OutOfMemoryError
        return [0.1]

    return seconds


def test_a_study_is_computed_and_timed(tmp_path):
    asked = Study(model=str(save_model(tmp_path / "tiny")), facts=str(save_facts(tmp_path / "facts.csv", each=30)), known_threshold=0.0,
                  localizations=("random",), forget_set_size=4, forget_sets=1, steps=2, formats=("one_shot",))  # fmt: skip
    at_once, taken, differ = study(asked, lambda _line: None)
    assert at_once.value >= 1 and taken.value > 0 and differ.value == 0
    assert "pages 5, 6 and 11" in taken.what


@pytest.mark.parametrize(("aim", "value", "met"), [(Aim(most=4), 4, "yes"), (Aim(most=4), 4.1, "no"), (Aim(least=0.9, most=1.1), 0.8, "no"),
                                                   (Aim(least=0.9, most=1.1), 1.0, "yes"), (Aim(), 1e9, "")])  # fmt: skip
def test_an_aim_is_met_or_not(aim, value, met):
    assert aim.met(value) == met


def test_the_table_says_where_and_when_it_was_measured(tmp_path):
    path = write([Row("a step", 0.1234567, "s", Aim(most=1)), Row("processes at once", 2)], tmp_path)
    first, second = csv.DictReader(path.open(encoding="utf-8"))
    assert (first["what"], first["value"], first["unit"], first["aim"], first["met"]) == ("a step", "0.1235", "s", "at most 1", "yes")
    assert (second["value"], second["aim"], second["met"]) == ("2", "", "")
    assert all(first[name] for name in ("card", "date", "torch")) and len(first["commit"]) == 40
