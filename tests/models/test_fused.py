"""A fused matrix is taken apart and put together again, and the network never notices."""

import copy

import pytest
import torch
from hooked import as_it_was
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import tiny_model
from torch import nn

from mechlib.models import load, resolve
from mechlib.models.fused import Fused, Joined, take_apart


@given(st.lists(st.integers(1, 3), min_size=1, max_size=4), st.integers(1, 3), st.booleans())
def test_a_fused_layer_is_its_parts_row_by_row(widths, groups, bias):
    torch.manual_seed(0)
    fused = Fused({f"part{number}": width * groups for number, width in enumerate(widths)}, groups)
    layer = nn.Module()
    layer.add_module("inner", nn.Module())
    layer.inner.add_module("whole", nn.Linear(5, sum(widths) * groups, bias=bias))
    own, inputs = copy.deepcopy(layer.inner.whole), torch.randn(2, 3, 5)
    for _ in range(2):
        take_apart([layer], {"inner.whole": fused})
        torch.testing.assert_close(layer.inner.whole(inputs), own(inputs), atol=1e-6, rtol=1e-5)
    # Group after group, in each one part after the other.
    expected = {name: [] for name in fused.rows}
    rows = iter(own.weight)
    for _ in range(groups):
        for name, width in zip(fused.rows, widths, strict=True):
            expected[name] += [next(rows) for _ in range(width)]
    for name, its in expected.items():
        assert torch.equal(layer.inner.get_submodule(name).weight, torch.stack(its))
    saved = layer.state_dict()
    assert saved.keys() == {"inner.whole.weight"} | ({"inner.whole.bias"} if bias else set())
    assert all(torch.equal(saved[f"inner.whole.{name}"], weight) for name, weight in own.named_parameters())


def test_a_part_that_is_replaced_is_used_in_copies_too():
    layer = nn.Module()
    layer.add_module("whole", nn.Linear(2, 4, bias=False))
    take_apart([layer], {"whole": Fused({"first": 2, "second": 2})})
    twin = copy.deepcopy(layer)
    twin.add_module("second", nn.Linear(2, 2))
    with torch.no_grad():
        twin.second.weight.zero_()
        twin.second.bias.fill_(7.0)
    inputs = torch.tensor([[1.0, -2.0]])
    assert torch.equal(twin.whole(inputs)[:, 2:], torch.full((1, 2), 7.0))
    assert torch.equal(layer.whole(inputs)[:, 2:], layer.second(inputs))
    assert layer.state_dict().keys() == {"whole.weight"}
    assert [name for name, _ in twin.named_parameters()] == ["first.weight", "second.weight", "second.bias"]


@pytest.mark.parametrize("family", ["phi3", "gpt_neox", "gpt2"])
def test_a_folder_is_loaded_and_saved_as_it_was(tmp_path, family):
    model = tiny_model(family)
    plain = as_it_was(model.network)
    assert any(isinstance(module, Joined) for module in model.network.modules())
    named = dict(plain.named_parameters(remove_duplicate=False))
    assert plain.state_dict().keys() == named.keys() == model.network.state_dict().keys()
    plain.save_pretrained(tmp_path / "plain")
    model.tokenizer.save_pretrained(tmp_path / "plain")
    again = load(resolve(str(tmp_path / "plain")))
    assert again.parameters.keys() == model.parameters.keys()
    assert all(torch.equal(weight, model.parameters[name]) for name, weight in again.parameters.items())
