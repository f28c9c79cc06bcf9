"""The closed-form cross-entropy is torch's, in value and gradient; the text loss is Hugging Face's."""

import pytest
import torch
from conftest import FAMILIES, tiny_model
from hypothesis import given
from hypothesis import strategies as st

from mechlib.edit.general_text import sample
from mechlib.edit.losses import cross_entropy, next_token
from mechlib.facts import FORMATS, athletes, prompts
from mechlib.models.forward import answer_hidden, answer_logits, enter, token_batch, tokenize

MODELS = {family: tiny_model(family) for family in FAMILIES}


@pytest.mark.parametrize("family", FAMILIES)
@given(rows=st.integers(1, 140), scale=st.sampled_from([0.1, 1.0, 20.0]), seed=st.integers(0, 99))
def test_value_and_gradient_are_torchs(family, rows, scale, seed):
    model, generator = MODELS[family], torch.Generator().manual_seed(seed)
    hidden = torch.randn(rows, 32, generator=generator) * scale
    labels = torch.randint(len(model.tokenizer), (rows,), generator=generator)
    weights = torch.rand(rows, generator=generator)
    mine, theirs = hidden.clone().requires_grad_(True), hidden.clone().requires_grad_(True)
    loss = cross_entropy(model, mine, labels)
    # Hugging Face's own head, with its own soft cap.
    handle = model.network.model.register_forward_hook(lambda _module, _inputs, output: _replaced(output, theirs))
    try:
        logits = model.network(torch.zeros(1, rows, dtype=torch.long), use_cache=False).logits[0]
    finally:
        handle.remove()
    expected = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
    (loss * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-5, rtol=1e-4)


def _replaced(output, hidden):
    output.last_hidden_state = hidden[None]
    return output


def test_gemma_2_has_a_soft_cap_that_matters():
    model = MODELS["gemma2"]
    hidden, labels = torch.randn(4, 32, generator=torch.Generator().manual_seed(0)) * 20, torch.arange(4)
    uncapped = torch.nn.functional.cross_entropy(hidden @ model.network.get_output_embeddings().weight.T, labels, reduction="none")
    assert (cross_entropy(model, hidden, labels) - uncapped).abs().max() > 0.1


def test_the_text_loss_is_hugging_faces(tiny):
    texts = torch.tensor(sample(tiny, 3, 10, seed=0))
    batch = token_batch(tiny, texts.tolist(), share_at_most=0)
    expected = tiny.network(input_ids=texts, labels=texts).loss
    torch.testing.assert_close(next_token(tiny, batch), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(next_token(tiny, batch, enter(tiny, batch, 2)), expected, atol=1e-5, rtol=1e-5)


def test_the_answers_loss_is_that_of_its_logits(tiny):
    batch = tokenize(tiny, [prompt.text for prompt in prompts(athletes().facts[::300], FORMATS["question"])])
    labels = torch.arange(10, 10 + len(batch))
    with torch.no_grad():
        expected = torch.nn.functional.cross_entropy(answer_logits(tiny, batch), labels, reduction="none")
        torch.testing.assert_close(cross_entropy(tiny, answer_hidden(tiny, batch), labels), expected, atol=1e-5, rtol=1e-5)
