"""Tensors of a network: what is tied stays tied, what is written comes back bit by bit, and their model stays as it was."""

import pytest
import torch
from editing import bits, same
from tiny_models import tiny_model

from mechlib.models.tensors import read_tensors, replace_tensors, write_tensors


def tied(model):
    return model.network.get_input_embeddings().weight is model.network.get_output_embeddings().weight


@pytest.mark.parametrize("family", ["gemma3", "gpt2", "llama", "phi3"])
def test_a_model_comes_back_from_its_file(family, tmp_path):
    model = tiny_model(family)
    before, buffers = bits(model), {name: tensor.clone() for name, tensor in model.network.named_buffers()}
    bare = write_tensors(model, tmp_path / "model.safetensors")
    assert all(tensor.is_meta for tensor in (*bare.network.parameters(), *bare.network.buffers()))
    assert same(bits(model), before) and tied(bare) == tied(model)
    whole = read_tensors(bare, tmp_path / "model.safetensors")
    assert same(bits(whole), before) and tied(whole) == tied(model)
    assert all(torch.equal(tensor, buffers[name]) for name, tensor in whole.network.named_buffers())
    assert not any(weight.requires_grad for weight in whole.network.parameters())


def test_each_tensor_is_replaced_once():
    twin, seen = tiny_model("gemma3").shared_copy(), []
    replace_tensors(twin.network, lambda tensor: seen.append(tensor) or tensor + 1)
    assert tied(twin) and len(seen) == len({id(tensor) for tensor in seen})
    assert len(seen) == len([*twin.network.parameters(), *twin.network.buffers()])
    first = next(tiny_model("gemma3").network.parameters())
    assert torch.equal(next(twin.network.parameters()), first + 1)
