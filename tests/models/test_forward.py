import torch

from mechlib.facts import FORMATS, athletes, prompts
from mechlib.models.forward import answer_logits, enter, token_batch, tokenize
from mechlib.models.hooked import hooked

FACTS = athletes().facts[::150]


def test_shared_prefix_padding_and_entry_change_nothing(tiny):
    texts = [prompt.text for prompt in prompts(FACTS, FORMATS["one_shot"])]
    batch = tokenize(tiny, texts)
    assert len(batch.prefix) > 5
    with torch.no_grad():
        together = answer_logits(tiny, batch)
        alone = torch.cat([answer_logits(tiny, token_batch(tiny, [tiny.tokenizer(text).input_ids], share_at_most=0)) for text in texts])
        plain = torch.stack([tiny.network(**tiny.tokenizer(text, return_tensors="pt")).logits[0, -1] for text in texts])
        torch.testing.assert_close(alone, plain, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(together, plain, atol=1e-4, rtol=1e-4)
        for layer in range(tiny.architecture.n_layers):
            torch.testing.assert_close(answer_logits(tiny, batch, enter(tiny, batch, layer)), together, atol=1e-5, rtol=1e-5)


def test_hooked_copy_shares_weights_and_leaves_the_model_alone(tiny):
    names = list(tiny.parameters)
    machine = hooked(tiny)
    assert list(tiny.parameters) == names
    batch = tokenize(tiny, [prompt.text for prompt in prompts(FACTS, FORMATS["one_shot"])])
    with torch.no_grad():
        torch.testing.assert_close(answer_logits(machine.model, batch), answer_logits(tiny, batch), atol=1e-4, rtol=1e-4)
    assert {p.data_ptr() for p in machine.model.network.parameters()} <= {p.data_ptr() for p in tiny.network.parameters()}
