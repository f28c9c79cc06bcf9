"""Controls are a shuffle of all candidates, and the seed decides which."""

import random
from dataclasses import replace

import pytest

from mechlib.components import Architecture, Component, ComponentError, modules
from mechlib.localize.controls import next_to, shuffled_mlps, shuffled_modules
from mechlib.localize.localizer import Measured
from mechlib.localize.registry import localize, valid_keys
from mechlib.report.tables import label
from mechlib.runs.study import Study

ARCH = Architecture(n_layers=6, n_heads=2, n_key_value_heads=1, d_model=4, d_head=2, d_mlp=8)
MLPS = [Component(layer, "mlp") for layer in range(6)]
MODULES = [Component(layer, kind) for layer in range(6) for kind in ("attn", "mlp")]


@pytest.mark.parametrize(("shuffled", "candidates"), [(shuffled_mlps, MLPS), (shuffled_modules, MODULES)])
def test_a_control_is_pythons_shuffle_under_the_seed(shuffled, candidates):
    for seed in (0, 1, 7):
        expected = list(candidates)
        random.Random(seed).shuffle(expected)
        assert shuffled(ARCH, seed) == expected
        assert sorted(shuffled(ARCH, seed)) == candidates != shuffled(ARCH, seed)


def test_the_late_window_is_the_last_mlps_at_the_budget():
    arch = Architecture(6, 2, 1, 8, 4, 16)
    mlps = modules(arch, ["mlp"])
    size = mlps[0].size(arch)
    found = localize("late_window", Measured([], {}, "paper", []), arch, 0, budget=2 * size)
    assert found.components == tuple(mlps[-2:])
    assert localize("late_window", Measured([], {}, "paper", []), arch, 1, budget=2 * size).components == found.components


@pytest.mark.parametrize(("found", "before", "after"), [
    ([3, 5], [2, 4], [4, 6]), ([3, 4, 5], [0, 1, 2], [6, 7, 8]), ([1], [0], [2]), ([1, 3], [0, 2], [2, 4]),
    ([2, 3, 6], [0, 1, 5], [4, 5, 7]),
])  # fmt: skip
def test_next_to_what_was_found_is_as_much_and_none_of_it(found, before, after):
    arch = replace(ARCH, n_layers=12)
    mlps = modules(arch, ["mlp"])
    for step, layers in ((-1, before), (1, after)):
        assert sorted(one.layer for one in next_to(arch, [mlps[layer] for layer in found], step)) == layers


@pytest.mark.parametrize(("found", "step", "said"), [
    ([0, 4], -1, "before layer 0"), ([1, 2], -1, "before layer 2"), ([4, 11], 1, "after layer 11"),
])  # fmt: skip
def test_where_no_layer_is_left_next_to_it_there_is_no_such_place(found, step, said):
    arch = replace(ARCH, n_layers=12)
    with pytest.raises(ComponentError, match=f"no MLP is left {said}"):
        next_to(arch, [modules(arch, ["mlp"])[layer] for layer in found], step)


@pytest.mark.parametrize(("key", "layers"), [("mlps_before", (0, 2)), ("mlps_after", (2, 4))])
def test_places_next_to_fact_lookup_are_named_like_any_other_and_as_large(monkeypatch, key, layers):
    monkeypatch.setattr(Measured, "lookup", lambda _, arch: [MLPS[1], MLPS[3]])
    found, lookup = (localize(name, Measured(), ARCH, 0) for name in (key, "fact_lookup"))
    assert tuple(one.layer for one in found.components) == layers and found.parameters == lookup.parameters
    assert key in valid_keys([key]) and label(key).startswith("MLPs right ")
    assert Study(localizations=["fact_lookup", key]).localizations == ("fact_lookup", key)
