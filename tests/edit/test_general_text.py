"""General text: samples of one length that only their seed decides, and prose that no model wrote."""

import torch

from mechlib.edit.general_text import PROSE, prose, sample


def test_samples_have_one_length_and_begin_with_the_beginning(tiny):
    texts = sample(tiny, 5, 11, seed=0)
    assert [len(text) for text in texts] == [12] * 5
    assert {text[0] for text in texts} == {tiny.tokenizer.bos_token_id}
    assert len({tuple(text) for text in texts}) == 5


def test_the_seed_decides_and_nothing_else_is_drawn(tiny_gemma3):
    before = torch.get_rng_state()
    first = sample(tiny_gemma3, 3, 8, seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)
    assert sample(tiny_gemma3, 3, 8, seed=4) == first
    assert sample(tiny_gemma3, 3, 8, seed=5) != first


@torch.no_grad()
def test_a_text_is_drawn_token_by_token_with_a_generator_of_the_processor(tiny):
    generator = torch.Generator().manual_seed(4)
    texts = torch.full((3, 1), tiny.tokenizer.bos_token_id)
    for _ in range(6):
        shares = torch.softmax(tiny.network(texts).logits[:, -1].float() / 0.7, -1)
        texts = torch.cat([texts, torch.multinomial(shares, 1, generator=generator)], 1)
    torch.manual_seed(99)  # whatever the global generator is at, also that of a device
    assert sample(tiny, 3, 6, seed=4, temperature=0.7) == texts.tolist()


def test_a_low_temperature_gives_what_is_likeliest(tiny):
    (text,) = sample(tiny, 1, 4, seed=0, temperature=1e-4)
    with torch.no_grad():
        likeliest = tiny.network(torch.tensor([text])).logits[0, :-1].argmax(-1)
    assert text[1:] == likeliest.tolist()


def test_prose_is_the_beginning_of_each_paragraph(tiny_gemma3):
    paragraphs = PROSE.read_text(encoding="utf-8").strip().split("\n\n")
    assert len(paragraphs) >= 16
    texts = prose(tiny_gemma3, len(paragraphs), 24)
    assert len(texts) == len(paragraphs)
    assert {len(text) for text in texts} == {25}
    assert texts == [tiny_gemma3.tokenizer(paragraph).input_ids[:25] for paragraph in paragraphs]
