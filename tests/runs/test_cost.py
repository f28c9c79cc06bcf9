"""Seconds on another machine, of another model: by sizes that are made by hand."""

import json
from dataclasses import replace

import pytest
import torch
from planning import TINY, offline

from mechlib.attacks.registry import ATTACKS
from mechlib.models import resolve
from mechlib.runs import rates as measuring
from mechlib.runs.cost import CARD, CORE, EMBEDDED, factor
from mechlib.runs.memory import sizes
from mechlib.runs.plan import Machine, plan
from mechlib.runs.rates import Rates, calibrated, measured
from mechlib.runs.study import Study


def test_declared_seconds_are_those_of_the_embedded_model_on_the_core():
    assert sizes(resolve("gemma-3-270m")) == EMBEDDED
    assert factor(EMBEDDED, "bfloat16", CORE) == pytest.approx(1.0)


def test_products_grow_with_weights_and_the_rest_with_layers_and_width():
    # A sixth multiplies. Twice the layers: twice of all. Products half as fast: one more sixth.
    arch = EMBEDDED.architecture
    twice = replace(EMBEDDED, architecture=replace(arch, n_layers=2 * arch.n_layers))
    assert factor(twice, "bfloat16", CORE) == pytest.approx(2.0)
    assert factor(EMBEDDED, "bfloat16", replace(CORE, bfloat16=CORE.bfloat16 / 2)) == pytest.approx(7 / 6)
    assert factor(EMBEDDED, "float32", CORE) == pytest.approx(1 / 6 * CORE.bfloat16 / CORE.float32 + 5 / 6)
    # TINY: 3 layers of 2 x 32 x 32 + 2 x 16 x 32 + 3 x 32 x 48 weights against 100,270,080, and width 32 against 640.
    weights = 3 * (2 * 32 * 32 + 2 * 16 * 32 + 3 * 32 * 48)
    assert factor(TINY, "bfloat16", CORE) == pytest.approx(weights / 100_270_080 / 6 + 5 / 6 * 3 / 18 * 32 / 640)


def test_seconds_are_declared_for_what_a_run_does():
    """What is asked twice as often takes about twice as long, and an edit that stops takes no more steps than most."""
    full, quick = Study(profile="full", formats=["one_shot", "multiple_choice"]), Study()
    plain, letters = (full.answers(None, 0, 0, form).seconds for form in ("one_shot", "multiple_choice"))
    assert letters - 0.3 == pytest.approx(4 * (plain - 0.3))  # every rotation of the options
    assert full.damage("all_mlps", 0, 0).seconds == pytest.approx(8 / 3 * quick.damage("all_mlps", 0, 0).seconds)
    assert full.evidence["causal_tracing"].seconds == 8 * quick.evidence["causal_tracing"].seconds
    capped = {steps: Study(profile="full", steps=steps).edit("all_mlps", 0, 0).seconds for steps in (10, 100, 200)}
    assert capped[10] < capped[100] == capped[200]
    never = {steps: Study(profile="full", steps=steps, stop_at=1.0).edit("all_mlps", 0, 0).seconds for steps in (100, 200)}
    assert never[200] == 2 * never[100]
    def costs(study, name):
        return study.attack(name, None, 0, 0, 0 if ATTACKS[name].folds else None).seconds

    # Training costs by its steps, of one curve each; rounding by its schemes; what only asks by what is asked.
    assert costs(full, "relearning") == pytest.approx(8 / 6 * costs(quick, "relearning"))
    assert costs(full, "quantization") == pytest.approx(5 / 2 * costs(quick, "quantization"))
    assert costs(full, "direction") > costs(quick, "direction")
    four = Study(profile="full", relearning={"ranks": [512, 8], "learning_rates": [1e-3, 1e-4]})
    assert costs(four, "relearning") == pytest.approx(costs(full, "relearning") * 2 * (1 + (340 + 512) / (340 + 8)))



def test_a_card_is_bound_by_launches_for_small_models_and_by_products_for_large_ones():
    small = factor(EMBEDDED, "bfloat16", CARD)
    assert 1.5 * small == pytest.approx(0.060, rel=0.1)  # the step that it was measured by
    # 0.116 s were measured for a step of a fact-lookup edit at 8B, all at once, which no constant was fitted to.
    assert 1.5 * factor(sizes(resolve("llama-3-8b")), "bfloat16", CARD) == pytest.approx(0.116, rel=0.2)


def test_a_plan_is_of_that_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("MECHLIB_PRECISION", "bfloat16")
    store, study = offline(tmp_path, monkeypatch), Study(localizations=("all_mlps",))
    wanted = [(study, [spec for _, spec in study.runs("edit")])]
    usual, slow = (plan(wanted, store, Machine("a", None, False, rates=rates)) for rates in (
        CORE, replace(CORE, name="a slow one", bfloat16=CORE.bfloat16 / 2)))  # fmt: skip
    assert slow.longest == pytest.approx(usual.longest * 7 / 6)
    assert slow.seconds == pytest.approx({stage: seconds * 7 / 6 for stage, seconds in usual.seconds.items()})
    assert "on one core of a slow one" in str(slow).splitlines()[0]


def test_rates_are_measured_once_and_a_damaged_file_again(tmp_path, monkeypatch):
    monkeypatch.setenv("MECHLIB_CACHE", str(tmp_path))
    asked = []

    def measure(device):
        asked.append(device)
        return Rates(measuring._name(device), 1.0, 2.0, 3.0, 4.0)

    cpu = torch.device("cpu")
    first = calibrated(cpu, measure)
    assert calibrated(cpu, measure) == first and asked == [cpu]
    (path,) = tmp_path.glob("rates-*.json")
    for broken in ("", "[]", json.dumps({"name": "x"}), path.read_text().replace("2.0", "-2.0"), path.read_text().replace("2.0", '"2"')):
        path.write_text(broken)
        assert calibrated(cpu, measure) == first
    assert len(asked) == 6


def test_what_is_measured_is_finite_and_threads_are_as_before():
    before = torch.get_num_threads()
    found = measured(torch.device("cpu"))
    assert min(found.float32, found.bfloat16, found.launch) > 0 and found.number >= 0
    assert torch.get_num_threads() == before
