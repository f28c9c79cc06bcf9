"""Positions that a GGUF file scales are scaled as in the folder of the same model, or the file is refused."""

import math

import numpy as np
import pytest
import torch
from tiny_gguf import HEADS, HIDDEN, TOKENS, WIDTH, tensors, write_gguf
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM

from mechlib.models import ModelError, load, resolve
from mechlib.models.scaling import apply_scaling

HEAD = WIDTH // HEADS
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
TEXT = torch.arange(2, 62)[None]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("MECHLIB_CACHE", str(tmp_path / "cache"))


def log_probabilities(network):
    with torch.no_grad():
        return network(input_ids=TEXT).logits.log_softmax(-1)


def original(model, **scaling):
    """The converted weights in a network whose configuration is as transformers documents it."""
    config = LlamaConfig(
        vocab_size=len(TOKENS), hidden_size=WIDTH, intermediate_size=HIDDEN, num_hidden_layers=1, num_attention_heads=HEADS,
        head_dim=HEAD, num_key_value_heads=HEADS, max_position_embeddings=64, rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0, **scaling},
    )  # fmt: skip
    network = LlamaForCausalLM(config).eval()
    network.load_state_dict(model.network.state_dict())
    return network


def divisors():
    """As llama.cpp writes them for Llama 3.1 (``convert_hf_to_gguf.py``), frequency by frequency."""
    found = []
    for frequency in (10_000.0 ** -(n / HEAD) for n in range(0, HEAD, 2)):
        wave = 2 * math.pi / frequency
        if wave < LLAMA3["original_max_position_embeddings"] / LLAMA3["high_freq_factor"]:
            found.append(1.0)
        elif wave > LLAMA3["original_max_position_embeddings"] / LLAMA3["low_freq_factor"]:
            found.append(LLAMA3["factor"])
        else:
            smooth = (LLAMA3["original_max_position_embeddings"] / wave - 1) / 3
            found.append(1 / ((1 - smooth) / LLAMA3["factor"] + smooth))
    return np.array(found, np.float32)


CASES = {
    "llama 3": ({"rope_freqs.weight": divisors()}, {}, {"rope_type": "llama3", **LLAMA3}),
    "linear": ({}, {"llama__rope__scaling__type": "linear", "llama__rope__scaling__factor": 8.0}, {"rope_type": "linear", "factor": 8.0}),
    "a factor alone": ({}, {"llama__rope__scaling__factor": 4.0}, {"rope_type": "linear", "factor": 4.0}),
    "its earlier name": ({}, {"llama__rope__scale_linear": 4.0}, {"rope_type": "linear", "factor": 4.0}),
    "yarn": ({}, {"llama__rope__scaling__type": "yarn", "llama__rope__scaling__factor": 4.0,
                  "llama__rope__scaling__original_context_length": 16},
             {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_scaled_file_answers_as_the_folder_with_that_scaling(tmp_path, case):
    more, fields, scaling = CASES[case]
    model = load(resolve(str(write_gguf(tmp_path / "scaled.gguf", tensors() | more, **fields))))
    found = log_probabilities(model.network)
    assert torch.allclose(found, log_probabilities(original(model, **scaling)), atol=1e-5)
    assert (found - log_probabilities(original(model))).abs().max() > 0.01


@pytest.mark.parametrize(("more", "fields"), [
    ({"rope_freqs.weight": np.ones(HEAD // 2, np.float32)}, {}),
    ({}, {"llama__rope__scaling__type": "none", "llama__rope__scaling__factor": 8.0}),
    ({}, {"llama__rope__scaling__factor": 1.0}), ({}, {"llama__rope__scaling__factor": 0.0}),
    ({}, {"llama__rope__scaling__type": "linear"}),
])  # fmt: skip
def test_a_file_that_names_a_scaling_of_nothing_is_not_scaled(tmp_path, more, fields):
    model = load(resolve(str(write_gguf(tmp_path / "plain.gguf", tensors() | more, **fields))))
    assert torch.equal(log_probabilities(model.network), log_probabilities(original(model)))


EIGHT = np.full(HEAD // 2, 8, np.float32)


@pytest.mark.parametrize(("more", "fields", "word"), [
    ({}, {"llama__rope__scaling__type": "longrope", "llama__rope__scaling__factor": 2.0}, "llama.rope.scaling.type"),
    ({}, {"llama__rope__scaling__type": "yarn", "llama__rope__scaling__factor": 2.0}, "llama.rope.scaling.factor"),
    ({}, {"llama__rope__scaling__factor": 2.0, "llama__rope__scaling__attn_factor": 2.0}, "attn_factor"),
    ({}, {"llama__rope__scaling__factor": -2.0}, "factor"),
    ({"rope_freqs.weight": EIGHT}, {"llama__rope__scaling__factor": 2.0}, "rope_freqs"),
    ({"rope_freqs.weight": np.full(HEAD, 8, np.float32)}, {}, "rope_freqs"),
    ({"rope_factors_long.weight": EIGHT}, {}, "rope_factors_long"),
    ({"rope_freqs.weight": 0 * EIGHT}, {}, "positive"),
])  # fmt: skip
def test_any_other_scaling_is_refused(tmp_path, more, fields, word):
    with pytest.raises(ModelError, match=word) as caught:
        load(resolve(str(write_gguf(tmp_path / "odd.gguf", tensors() | more, **fields))))
    assert "odd.gguf" in str(caught.value)
    assert "\n" not in str(caught.value)


def gemma3(**more):
    return Gemma3TextConfig(**{
        "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 6, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 16, **more,
    })  # fmt: skip


def test_gemma_3_scales_the_layers_that_attend_to_everything(tmp_path):
    """As in ``config.json`` of google/gemma-3-4b-pt: rope_scaling is that of the global layers, rope_local_base_freq of the others."""
    source = write_gguf(tmp_path / "scaled.gguf", kind="gemma3", gemma3__rope__scaling__type="linear", gemma3__rope__scaling__factor=8.0)
    torch.manual_seed(0)
    plain = Gemma3ForCausalLM(gemma3()).eval()
    scaled = gemma3()
    wanted = gemma3(rope_scaling={"rope_type": "linear", "factor": 8.0}, rope_theta=1_000_000.0, rope_local_base_freq=10_000.0)
    apply_scaling(source, scaled)
    answers = []
    for config in (scaled, wanted):
        network = Gemma3ForCausalLM(config).eval()
        network.load_state_dict(plain.state_dict())
        answers.append(log_probabilities(network))
    assert torch.allclose(*answers, atol=1e-6)
    assert (answers[0] - log_probabilities(plain)).abs().max() > 1e-3


def test_the_largest_gemma_scales_queries_by_its_width(tmp_path):
    """Gemma 3 27B: 5376 wide, 32 heads, so 168 (its ``config.json``); a head has 128."""
    source = write_gguf(tmp_path / "large.gguf", kind="gemma3")
    large, small = (gemma3(num_hidden_layers=layers, hidden_size=5376, num_attention_heads=32, head_dim=128) for layers in (62, 34))
    apply_scaling(source, large)
    apply_scaling(source, small)
    assert (large.query_pre_attn_scalar, small.query_pre_attn_scalar) == (168, 256)
