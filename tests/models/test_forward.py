import torch
from hooked import hooked

from mechlib.facts import FORMATS, athletes, prompts
from mechlib.models.forward import answer_logits, enter, tokenize

TEXTS = [prompt.text for prompt in prompts(athletes().facts[::150], FORMATS["one_shot"])]


def test_packing_and_entry_change_nothing(tiny):
    packed = tokenize(tiny, TEXTS)
    assert packed.tokens.numel() < sum(len(path) for path in packed.paths) - 5 * (len(TEXTS) - 1)
    with torch.no_grad():
        together = answer_logits(tiny, packed)
        plain = torch.stack([tiny.network(**tiny.tokenizer(text, return_tensors="pt")).logits[0, -1] for text in TEXTS])
        torch.testing.assert_close(together, plain, atol=1e-4, rtol=1e-4)
        for layer in range(tiny.architecture.n_layers):
            torch.testing.assert_close(answer_logits(tiny, packed, enter(tiny, packed, layer)), together, atol=1e-5, rtol=1e-5)


def test_copies_of_rows_are_computed_alike(tiny):
    packed = tokenize(tiny, TEXTS)
    with torch.no_grad():
        once, thrice = answer_logits(tiny, packed), answer_logits(tiny, packed.repeated(3), enter(tiny, packed, 1).repeated(3))
    torch.testing.assert_close(thrice, once.repeat(3, 1), atol=1e-5, rtol=1e-5)


def test_hooked_copy_shares_weights_and_leaves_the_model_alone(tiny):
    names = list(tiny.parameters)
    twin = hooked(tiny)
    assert list(tiny.parameters) == names
    packed = tokenize(tiny, TEXTS)
    with torch.no_grad():
        torch.testing.assert_close(answer_logits(twin.model, packed), answer_logits(tiny, packed), atol=1e-4, rtol=1e-4)
    shared = {p.data_ptr() for p in twin.model.network.parameters()} & {p.data_ptr() for p in tiny.network.parameters()}
    assert len(shared) == (0 if tiny.family.fused else len(names))
