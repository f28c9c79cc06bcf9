"""Controls are a shuffle of all candidates, and the seed decides which."""

import random

import pytest

from mechlib.components import Architecture, Component
from mechlib.localize.controls import shuffled_mlps, shuffled_modules

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
