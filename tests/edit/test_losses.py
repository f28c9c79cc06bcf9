"""The closed-form cross-entropy is torch's, in value and gradient; the text loss is Hugging Face's."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import FAMILIES, tiny_model

from mechlib.edit.general_text import sample
from mechlib.edit.losses import cross_entropy, divergence, next_tokens, unlearning
from mechlib.facts import FORMATS, athletes, prompts
from mechlib.models.forward import answer_logits, hidden_at, tokenize
from mechlib.models.packed import pack

MODELS = {family: tiny_model(family) for family in FAMILIES}


def their_logits(model, hidden):
    """Hugging Face's own head, with its own soft cap."""
    handle = model.network.base_model.register_forward_hook(lambda _module, _inputs, output: _replaced(output, hidden))
    try:
        return model.network(torch.zeros(1, len(hidden), dtype=torch.long), use_cache=False).logits[0]
    finally:
        handle.remove()


def _replaced(output, hidden):
    output.last_hidden_state = hidden[None]
    return output


def same_value_and_gradient(loss, expected, mine, theirs, weights):
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
    (loss * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
@given(rows=st.integers(1, 140), scale=st.sampled_from([0.1, 1.0, 20.0]), seed=st.integers(0, 99))
def test_value_and_gradient_are_torchs(family, rows, scale, seed):
    model, generator = MODELS[family], torch.Generator().manual_seed(seed)
    hidden = torch.randn(rows, 32, generator=generator) * scale
    labels = torch.randint(len(model.tokenizer), (rows,), generator=generator)
    weights = torch.rand(rows, generator=generator)
    mine, theirs = hidden.clone().requires_grad_(True), hidden.clone().requires_grad_(True)
    expected = torch.nn.functional.cross_entropy(their_logits(model, theirs), labels, reduction="none")
    same_value_and_gradient(cross_entropy(model, mine, labels), expected, mine, theirs, weights)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("rows", [1, 64, 130])
@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
def test_unlearning_is_the_log_of_what_is_left(family, rows, scale):
    model, generator = MODELS[family], torch.Generator().manual_seed(rows)
    mine = (torch.randn(rows, 32, generator=generator) * scale).requires_grad_(True)
    theirs, weights = mine.detach().clone().requires_grad_(True), torch.rand(rows, generator=generator)
    logits = their_logits(model, theirs).double()
    labels = logits.argmax(-1)
    labels[::3] = torch.randint(len(model.tokenizer), labels[::3].shape, generator=generator)
    log_probability = logits.log_softmax(-1).gather(1, labels[:, None])[:, 0]
    others = logits.log_softmax(-1).scatter(1, labels[:, None], -torch.inf).logsumexp(-1)
    expected = torch.where(log_probability < -5, 0.0, -others).float()
    loss = unlearning(model, mine, labels)
    same_value_and_gradient(loss, expected, mine, theirs, weights)
    forgotten = log_probability < -5
    assert not loss[forgotten].any()
    assert not mine.grad[forgotten].any()
    assert bool(mine.grad[~forgotten].any(-1).all())


def test_unlearning_is_exact_where_a_probability_rounds_to_one():
    model = MODELS["llama"]
    unembedding = model.network.get_output_embeddings().weight
    label = unembedding.norm(dim=-1).argmax()
    hidden = (40 * unembedding[label] / unembedding[label].norm())[None].clone().requires_grad_(True)
    logits = (hidden.detach() @ unembedding.T).double()
    assert logits.softmax(-1)[0, label].float() == 1
    loss = unlearning(model, hidden, label[None])
    loss.sum().backward()
    expected = logits.logsumexp(-1) - logits.scatter(1, label[None, None], -torch.inf).logsumexp(-1)
    torch.testing.assert_close(loss, expected.float())
    assert bool(hidden.grad.isfinite().all()) and hidden.grad.norm() > 0.1


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("rows", [1, 64, 130])
def test_divergence_is_torchs(family, rows):
    model, generator = MODELS[family], torch.Generator().manual_seed(rows)
    mine = torch.randn(rows, 32, generator=generator).requires_grad_(True)
    reference = mine.detach() + torch.randn(rows, 32, generator=generator) * 0.3
    theirs, weights = mine.detach().clone().requires_grad_(True), torch.rand(rows, generator=generator)
    now, before = (their_logits(model, hidden).double().log_softmax(-1) for hidden in (theirs, reference))
    expected = torch.nn.functional.kl_div(now, before, log_target=True, reduction="none").sum(-1).float()
    same_value_and_gradient(divergence(model, mine, reference), expected, mine, theirs, weights)


def test_nothing_diverges_from_itself():
    hidden = torch.randn(5, 32, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    loss = divergence(MODELS["gemma2"], hidden, hidden.detach())
    loss.sum().backward()
    assert loss.abs().max() < 1e-6
    assert hidden.grad.abs().max() < 1e-6


def test_no_rows_have_no_loss():
    model, nothing = MODELS["gemma2"], torch.zeros(0, 32, requires_grad=True)
    labels = torch.zeros(0, dtype=torch.long)
    losses = (cross_entropy(model, nothing, labels), unlearning(model, nothing, labels), divergence(model, nothing, nothing.detach()))
    assert [loss.shape for loss in losses] == [(0,)] * 3
    torch.cat(losses).sum().backward()
    assert nothing.grad.shape == (0, 32)


def test_gemma_2_has_a_soft_cap_that_matters():
    model = MODELS["gemma2"]
    hidden, labels = torch.randn(4, 32, generator=torch.Generator().manual_seed(0)) * 20, torch.arange(4)
    uncapped = torch.nn.functional.cross_entropy(hidden @ model.network.get_output_embeddings().weight.T, labels, reduction="none")
    assert (cross_entropy(model, hidden, labels) - uncapped).abs().max() > 0.1


def test_the_text_loss_is_hugging_faces(tiny):
    texts = torch.tensor(sample(tiny, 3, 10, seed=0))
    found = cross_entropy(tiny, *next_tokens(tiny, pack(tiny, texts.tolist()))).mean()
    torch.testing.assert_close(found, tiny.network(input_ids=texts, labels=texts).loss, atol=1e-5, rtol=1e-5)


def test_padding_is_no_text(tiny):
    texts = [text[:length] for text, length in zip(sample(tiny, 3, 10, seed=0), (11, 4, 7), strict=True)]
    hidden, labels = next_tokens(tiny, pack(tiny, texts))
    assert labels.tolist() == [token for text in texts for token in text[1:]]
    one_by_one = [next_tokens(tiny, pack(tiny, [text]))[0] for text in texts]
    torch.testing.assert_close(hidden, torch.cat(one_by_one), atol=1e-4, rtol=1e-4)


def test_the_answers_loss_is_that_of_its_logits(tiny):
    batch = tokenize(tiny, [prompt.text for prompt in prompts(athletes().facts[::300], FORMATS["question"])])
    labels = torch.arange(10, 10 + len(batch))
    with torch.no_grad():
        expected = torch.nn.functional.cross_entropy(answer_logits(tiny, batch), labels, reduction="none")
        torch.testing.assert_close(cross_entropy(tiny, hidden_at(tiny, batch, batch.ends), labels), expected, atol=1e-5, rtol=1e-5)
