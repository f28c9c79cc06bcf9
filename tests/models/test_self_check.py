"""A model of which any fast path would be wrong is refused when it is loaded, in one line that says which path and by how much."""

from dataclasses import replace

import pytest
import torch
import transformers
from tiny_models import FAMILIES, tiny_model, word_tokenizer

from mechlib.models import ModelError, families, self_check
from mechlib.models.families import Family

SIZES = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 512, "bos_token_id": 1, "pad_token_id": 0, "eos_token_id": None, "initializer_range": 0.2,
}  # fmt: skip


def built(name, **settings):
    """A random network of a class of transformers, wrapped."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**{"vocab_size": len(word_tokenizer()), **SIZES, **settings})
    network = getattr(transformers, f"{name}ForCausalLM")(config)
    return self_check.wrap(network, word_tokenizer(), replace(tiny_model("llama").spec, name=f"tiny-{name}"), "none")


def refused(path, make):
    with pytest.raises(ModelError, match=path) as caught:
        make()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("dtype", self_check.TOLERANCES)
@pytest.mark.parametrize("family", FAMILIES)
def test_supported_families_pass_far_within_the_tolerance_in_every_dtype(family, dtype):
    model = tiny_model(family)
    model.network.to(dtype)
    found = distances(model)
    assert len(found) == 6
    assert max(found.values()) < self_check.TOLERANCES[dtype] / 2


@torch.no_grad()
def distances(model):
    texts = [[1, 9, 40, 300, 22, 801, 77, 5], [1, 9, 40, 41, 42, 600, 3], [1, 9]]
    return dict(self_check.differences(model, texts, self_check.plain(model.network, texts)))


@pytest.mark.parametrize(("name", "kind", "adapter", "settings", "path"), [
    ("Granite", "granite", Family(), {"residual_multiplier": 0.3}, "sums of all that is written"),
    ("Granite", "granite", Family(), {"logits_scaling": 3.0}, "logits of the tokens that are read"),
    ("Cohere", "cohere", Family(norms=("input_layernorm",)), {"logit_scale": 0.25}, "logits of the tokens that are read"),
    ("Olmo2", "olmo2", Family(), {}, "sums of all that is written"),
    ("Gemma2", "gemma2", Family(mixed=True), {"head_dim": 8}, "logits of the tokens that are read"),
    ("Mistral", "mistral", Family(), {"sliding_window": 4096}, "hidden states of packed texts"),
    ("Mistral", "mistral", Family(), {"sliding_window": 8}, "hidden states of packed texts"),
    ("Qwen2", "qwen2", Family(), {"use_sliding_window": True, "sliding_window": 64, "max_window_layers": 1}, "packed texts"),
])  # fmt: skip
def test_what_no_list_of_families_knows_is_refused(monkeypatch, name, kind, adapter, settings, path):
    monkeypatch.setattr(families, "FAMILIES", {**families.FAMILIES, kind: adapter})
    said = refused(path, lambda: built(name, **settings))
    assert f"tiny-{name} is refused" in said and "standard deviations (at most 0.001)" in said


def test_attention_in_both_directions_is_refused():
    refused("packed texts", lambda: tiny_model("gemma3", use_bidirectional_attention=True))


@pytest.mark.parametrize("settings", [
    {"use_parallel_residual": False}, {"attention_bias": False}, {"rope_parameters": {"rope_theta": 100.0, "rope_type": "default"}},
    {"hidden_act": "relu"},
])  # fmt: skip
def test_every_kind_of_pythia_is_right(settings):
    assert max(distances(tiny_model("gpt_neox", **settings)).values()) < 1e-3


@pytest.mark.parametrize("window", [3, 16, 4096])
def test_a_window_without_layer_types_is_right(window):
    model = built("Mistral", sliding_window=window)
    assert model.config.sliding_window == window
    assert max(distances(model).values()) < 1e-3
