"""GPT-2: matrices that are stored turned, learned positions that come to an end, and a configuration in words of its own."""

import pytest
import torch
from editing import FORGET, LOCALIZATIONS, RETAIN, bits, inside, localization, same
from hooked import as_it_was
from safetensors.torch import load_file, save_file
from tiny_models import tiny_model
from torch import nn
from transformers.pytorch_utils import Conv1D

from mechlib.components import Ungated
from mechlib.edit.general_text import sample
from mechlib.edit.weight_masking import MaskConfig, discretized, train_mask
from mechlib.models import ModelError, load, resolve
from mechlib.models.forward import hidden_at
from mechlib.models.fused import Fused, take_apart
from mechlib.models.packed import pack


def test_parts_of_a_turned_matrix_are_its_columns_in_rows():
    torch.manual_seed(0)
    layer, whole = nn.Module(), Conv1D(5, 3)
    nn.init.normal_(whole.bias)
    layer.add_module("whole", whole)
    take_apart([layer], {"whole": Fused({"first": 2, "second": 3})})
    assert torch.equal(layer.first.weight, whole.weight[:, :2].T) and torch.equal(layer.second.weight, whole.weight[:, 2:].T)
    assert torch.equal(layer.first.bias, whole.bias[:2]) and torch.equal(layer.second.bias, whole.bias[2:])
    inputs = torch.randn(4, 2, 3)
    torch.testing.assert_close(layer.whole(inputs), whole(inputs), atol=1e-6, rtol=1e-5)
    saved = layer.state_dict()
    assert saved.keys() == {"whole.weight", "whole.bias"}
    assert torch.equal(saved["whole.weight"], whole.weight) and torch.equal(saved["whole.bias"], whole.bias)


@pytest.mark.parametrize(("inner", "expected"), [(None, 128), (40, 40)])
def test_an_mlp_is_as_wide_as_its_configuration_says_or_four_times_the_stream(inner, expected):
    assert tiny_model("gpt2", n_inner=inner).architecture == Ungated(3, 4, 4, 32, 8, expected)


def test_a_folder_as_the_hub_has_it_is_loaded(tmp_path):
    # Without the prefix of the base model, with the masks of an earlier transformers, and without the tied unembedding.
    model = tiny_model("gpt2")
    as_it_was(model.network).save_pretrained(tmp_path)
    model.tokenizer.save_pretrained(tmp_path)
    weights = {name.removeprefix("transformer."): weight for name, weight in load_file(tmp_path / "model.safetensors").items()}
    masks = {f"h.{layer}.attn.bias": torch.ones(1, 1, 8, 8).tril() for layer in range(3)}
    save_file({**weights, **masks}, tmp_path / "model.safetensors", {"format": "pt"})
    again = load(resolve(str(tmp_path)))
    assert same(bits(again), bits(model))


@torch.no_grad()
def test_every_token_of_a_tree_has_the_position_of_its_text():
    model = tiny_model("gpt2")
    model.network.base_model.wpe.weight.mul_(5)
    texts = [[1, 5, 6, 7], [1, 5, 8], [9, 9, 9, 9, 9, 4]]
    packed = pack(model, texts, 1)
    for text, path in zip(texts, packed.paths, strict=True):
        alone = model.network.base_model(torch.tensor([text])).last_hidden_state[0]
        torch.testing.assert_close(hidden_at(model, packed, path), alone, atol=2e-5, rtol=2e-5)


def test_a_text_that_no_position_is_left_for_is_refused():
    model = tiny_model("gpt2", max_position_embeddings=12)
    packed = pack(model, [[1, *range(5, 16)]])
    assert hidden_at(model, packed, packed.ends).isfinite().all()
    with pytest.raises(ModelError, match="a text has 13 tokens, and beyond 12 there are no positions in tiny-gpt2: shorten it"):
        pack(model, [[1, *range(5, 17)]])
    assert len(sample(model, 1, 11, seed=0)[0]) == 12
    with pytest.raises(ModelError, match="a text has 13 tokens, and beyond 12 there are no positions"):
        sample(model, 1, 12, seed=0)


def test_a_model_with_hardly_any_position_is_refused_in_one_line():
    with pytest.raises(ModelError, match="^tiny-gpt2 is refused: it has 8 positions, too few for a prompt$"):
        tiny_model("gpt2", max_position_embeddings=8)


def test_fine_print_of_its_attention_is_right_or_refused():
    # The self-check compares what the configuration changes; each of these gives other logits.
    text = torch.tensor([[1, 9, 40, 300]])
    settings = [{}, {"scale_attn_by_inverse_layer_idx": True}, {"scale_attn_weights": False}, {"activation_function": "relu"}]
    found = [tiny_model("gpt2", **one).network(text).logits for one in settings]
    assert all((found[0] - other).abs().max() > 1e-3 for other in found[1:])


def test_its_masks_zero_localized_weights_alone():
    model = tiny_model("gpt2")
    before, masks = bits(model), inside(model, LOCALIZATIONS["mixed"])
    config = MaskConfig(learning_rate=0.01, steps=3, retain_batch=3, precision="float32")
    mask, _ = train_mask(model, localization(model, LOCALIZATIONS["mixed"]), FORGET, RETAIN, sample(model, 4, 8, seed=0), config)
    after = discretized(model, mask, 20).edited(model).parameters
    gone = {name: (weight == 0) & (model.parameters[name] != 0) for name, weight in after.items()}
    assert sum(int(one.sum()) for one in gone.values()) == 20
    assert not any(bool((gone[name] & ~masks[name]).any()) for name in gone)
    assert all(torch.equal(after[name][~gone[name]], model.parameters[name][~gone[name]]) for name in gone)
    assert same(bits(model), before)
