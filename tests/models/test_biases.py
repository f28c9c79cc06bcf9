"""Qwen 2 adds biases to queries, keys and values, a Pythia and GPT-2 to all: no part of a component, and nothing trips over them."""

import pytest
import torch
from brute_force import PROMPTS, loop_over_components
from editing import LOCALIZATIONS, bits, edited, inside, same
from tiny_models import tiny_model

from mechlib.patching.activation import activation_patching


@pytest.fixture(params=["qwen2", "gpt_neox", "gpt2"])
def biased(request):
    model, generator = tiny_model(request.param), torch.Generator().manual_seed(0)
    for name, weight in model.parameters.items():
        if name.endswith("bias"):
            weight.data = torch.randn(weight.shape, generator=generator) * 0.3
    return model


def test_exact_patching_equals_a_loop_over_components(biased):
    with torch.no_grad():
        expected, _ = loop_over_components(biased, PROMPTS, "noise", "denoise", seed=3, batch_size=4)
    scores = activation_patching(biased, PROMPTS, corruption="noise", direction="denoise", seed=3, batch_size=4)
    assert scores.values == pytest.approx(expected, abs=1e-4, rel=1e-4)


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_edit_leaves_the_biases(biased, stored, precision):
    biased.network.to(stored)
    before, masks = bits(biased), inside(biased, LOCALIZATIONS["mixed"])
    delta, _ = edited(biased, LOCALIZATIONS["mixed"], precision=precision)
    assert same(bits(biased), before)
    after = bits(delta.edited(biased))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name, mask in masks.items() if mask.any()}
    assert not any(name.endswith("bias") for name in changed)
