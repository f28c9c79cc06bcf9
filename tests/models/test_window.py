"""Texts longer than the sliding window of Gemma 2 and 3: prefix sharing and layer entry stay exact."""

import pytest
import torch
from brute_force import PROMPTS, loop_over_components
from hooked import hooked
from tiny_models import tiny_model

from mechlib.facts import FORMATS, prompts
from mechlib.models.forward import answer_logits, enter, tokenize
from mechlib.models.packed import pack
from mechlib.patching.activation import activation_patching

FACTS = [prompt.fact for prompt in PROMPTS]


LAYERS = ["sliding_attention", "full_attention"] * 2


@pytest.fixture(scope="module", params=["gemma3", "gemma2"])
def narrow(request):
    """A model with a window of 5 tokens in every other layer."""
    return tiny_model(request.param, sliding_window=5, num_hidden_layers=4, layer_types=LAYERS)


def test_the_window_matters(narrow):
    wide = tiny_model(narrow.name.removeprefix("tiny-"), sliding_window=500, num_hidden_layers=4, layer_types=LAYERS)
    batch = tokenize(narrow, [prompt.text for prompt in PROMPTS])
    with torch.no_grad():
        assert (answer_logits(narrow, batch) - answer_logits(wide, batch)).abs().max() > 0.01


@pytest.mark.parametrize("form", ["one_shot", "few_shot", "multiple_choice"])
def test_a_prefix_longer_than_the_window_is_shared_exactly(narrow, form):
    texts = [prompt.text for prompt in prompts(FACTS, FORMATS[form])]
    batch = tokenize(narrow, texts)
    with torch.no_grad():
        plain = torch.stack([narrow.network(**narrow.tokenizer(text, return_tensors="pt")).logits[0, -1] for text in texts])
        for most in (0, 3, 5, 6, None):
            shared = pack(narrow, narrow.tokenizer(texts).input_ids, share_at_most=most)
            torch.testing.assert_close(answer_logits(narrow, shared), plain, atol=1e-4, rtol=1e-4)
        for layer in range(narrow.architecture.n_layers):
            torch.testing.assert_close(answer_logits(narrow, batch, enter(narrow, batch, layer)), plain, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(answer_logits(hooked(narrow).model, batch), plain, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("direction", ["denoise", "noise"])
def test_exact_patching_equals_a_loop_over_components(narrow, direction):
    asked = prompts(FACTS, FORMATS["few_shot"])
    with torch.no_grad():
        expected, _ = loop_over_components(narrow, asked, "noise", direction, seed=3, batch_size=4)
    scores = activation_patching(narrow, asked, corruption="noise", direction=direction, seed=3, batch_size=4)
    assert scores.values == pytest.approx(expected, abs=1e-4, rel=1e-4)
