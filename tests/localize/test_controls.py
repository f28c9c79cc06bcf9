"""Controls are a shuffle of all candidates, and the seed decides which."""

import random

import pytest

from mechlib.components import Architecture, Component, modules
from mechlib.localize.controls import shuffled_mlps, shuffled_modules
from mechlib.localize.localizer import Measured
from mechlib.localize.registry import localize

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
