"""How a text begins is what the tokenizer says, in one place: with or without a beginning token, an end token, a space."""

from dataclasses import replace

import pytest
import torch
from tiny_models import tiny_model, word_tokenizer
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from mechlib.edit.corpus import corpus
from mechlib.edit.general_text import prose, sample
from mechlib.facts import FORMATS, FactError, athletes, prompt
from mechlib.models import ModelError
from mechlib.models.forward import answer_logits, tokenize
from mechlib.models.reading import read_tokenizer
from mechlib.models.tokens import answer_token, answer_tokens, beginning, encode, subject_positions

BOS, END = ("<bos>", 1), ("<pad>", 0)


def words(template=None, **special):
    """The tests' tokenizer, with other tokens around a text."""
    inner = Tokenizer.from_str(word_tokenizer().backend_tokenizer.to_str())
    inner.post_processor = processors.TemplateProcessing(single=template or "$A", special_tokens=[BOS, END])
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", **special)


TOKENIZERS = {
    "a beginning token": words("<bos> $A", bos_token="<bos>", pad_token="<pad>"),
    "none": words(),
    "none, with one for the end": words(eos_token="<pad>"),
    "one that no prompt has": words(bos_token="<bos>", pad_token="<pad>"),
    "an end token behind": words("<bos> $A <pad>", bos_token="<bos>", eos_token="<pad>"),
    "only an end token": words("$A <pad>", eos_token="<pad>"),
    "two in front": words("<bos> <pad> $A", bos_token="<bos>"),
}
STARTS = [[1], [], [], [], [1], [], [1, 0]]
CASES = list(zip(TOKENIZERS.values(), STARTS, strict=True))


@pytest.fixture(scope="module")
def tiny():
    return tiny_model("qwen2")


@pytest.mark.parametrize(("tokenizer", "start"), CASES, ids=TOKENIZERS)
def test_a_text_begins_as_the_tokenizer_says_and_never_ends(tiny, tokenizer, start, tmp_path):
    model, own = replace(tiny, tokenizer=tokenizer), word_tokenizer()("golf football baseball", add_special_tokens=False).input_ids
    assert beginning(model) == start
    assert encode(model, ["golf football baseball", "golf"]) == [[*start, *own], [*start, own[0]]]
    assert encode(model, ["golf football baseball"], at_most=len(start) + 2) == [[*start, *own[:2]]]
    (tmp_path / "text.txt").write_text("golf football baseball golf football")
    found = [corpus(model, str(tmp_path / "text.txt"), 1, 3), prose(model, 1, 3), sample(model, 1, 3, seed=0)]
    assert all(text[: len(start)] == start and len(text) >= 4 for (text,) in found)
    assert all(END[1] not in text[len(start) :] for (text,) in found[:2])


@pytest.mark.parametrize(("tokenizer", "start"), CASES, ids=TOKENIZERS)
def test_an_answer_is_read_where_the_prompt_s_own_words_end(tiny, tokenizer, start):
    model, asked = replace(tiny, tokenizer=tokenizer), prompt(athletes().facts[0], FORMATS["one_shot"])
    own = word_tokenizer()(asked.text, add_special_tokens=False).input_ids
    with torch.no_grad():
        expected = tiny.network(torch.tensor([[*start, *own]])).logits[0, -1]
        assert torch.allclose(answer_logits(model, tokenize(model, [asked.text]))[0], expected, atol=1e-4)
    first, last = subject_positions(model, asked)
    read = word_tokenizer()(asked.fact.subject, add_special_tokens=False).input_ids
    assert encode(model, [asked.text])[0][first : last + 1] == read


def test_samples_without_a_beginning_token_are_as_long_and_depend_on_the_seed(tiny):
    model = replace(tiny, tokenizer=TOKENIZERS["none"])
    first = sample(model, 4, 6, seed=0)
    assert {len(text) for text in first} == {7} == {len(text) for text in sample(replace(model, tokenizer=CASES[0][0]), 4, 6, seed=0)}
    assert sample(model, 4, 6, seed=0) == first != sample(model, 4, 6, seed=1)


def test_a_text_is_drawn_without_a_model_s_own_settings_for_chatting(tiny):
    usual = sample(tiny, 3, 8, seed=0)
    own = tiny.network.generation_config
    own.repetition_penalty, own.top_k, own.no_repeat_ngram_size = 5.0, 1, 1
    try:
        assert sample(tiny, 3, 8, seed=0) == usual
    finally:
        own.repetition_penalty, own.top_k, own.no_repeat_ngram_size = None, None, None


def test_a_text_without_tokens_is_one_line(tiny):
    model = replace(tiny, tokenizer=TOKENIZERS["none"])
    with pytest.raises(FactError, match="reads no token in the text ' '"):
        encode(model, ["golf", " "])


def pieces(**settings):
    """A tokenizer of pieces that puts a space before the first word of a text, as that of Llama 2 does."""
    vocabulary = {"<unk>": 0, "▁": 1, "▁A": 2, "▁golf": 3, "\n": 4, "B": 5, "▁B": 6, "▁is": 7}
    inner = Tokenizer(models.Unigram([(piece, -1.0 if len(piece) > 1 else -3.0) for piece in vocabulary], unk_id=0))
    inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    inner.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", **settings)


def test_an_answer_is_the_token_that_goes_on_from_a_prompt(tiny):
    model = replace(tiny, tokenizer=pieces())
    assert model.tokenizer(" golf", add_special_tokens=False).input_ids == [1, 3]
    assert (answer_token(model, " golf"), answer_token(model, "B"), answer_token(model, " B")) == (3, 5, 6)
    assert answer_tokens(model, " is golf") == [7, 3]
    assert [*encode(model, ["A is"])[0], 3] == encode(model, ["A is golf"])[0]


def test_a_tokenizer_that_lowers_all_letters_finds_the_subject(tiny):
    inner = Tokenizer.from_str(TOKENIZERS["none"].backend_tokenizer.to_str())
    inner.normalizer = normalizers.Lowercase()
    model = replace(tiny, tokenizer=PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>"))
    for fact in athletes().facts[:3]:
        asked = prompt(fact, FORMATS["question"])
        assert subject_positions(model, asked) == subject_positions(replace(tiny, tokenizer=TOKENIZERS["none"]), asked)


def saved(folder, tokenizer):
    tokenizer.save_pretrained(folder)
    return str(folder)


def refused(folder, embeddings, word):
    with pytest.raises(ModelError, match=word) as caught:
        read_tokenizer(folder, embeddings)
    assert "\n" not in str(caught.value)


def test_more_embeddings_than_tokens_are_no_fault_and_fewer_are(tmp_path):
    folder, size = saved(tmp_path, word_tokenizer()), len(word_tokenizer())
    assert len(read_tokenizer(folder, size + 64)) == len(read_tokenizer(folder, size)) == size
    refused(folder, size - 1, f"tokens up to {size - 1} and the model {size - 1} embeddings")


def test_special_tokens_without_an_embedding_are_no_fault(tmp_path):
    tokenizer = words("<bos> $A")
    size = len(tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    assert len(read_tokenizer(saved(tmp_path, tokenizer), size)) == size + 1


def test_a_slow_tokenizer_is_refused(tmp_path, monkeypatch):
    folder = saved(tmp_path, word_tokenizer())
    monkeypatch.setattr(PreTrainedTokenizerFast, "is_fast", property(lambda _: False))
    refused(folder, 10_000, "slow")


def test_a_tokenizer_without_vocabulary_or_merges_is_refused(tmp_path):
    empty = Tokenizer(models.WordLevel({"<unk>": 0, "<bos>": 1}, unk_token="<unk>"))
    fast = PreTrainedTokenizerFast(tokenizer_object=empty, unk_token="<unk>", bos_token="<bos>")
    refused(saved(tmp_path / "empty", fast), 99, "no vocabulary")
    vocabulary = {piece: number for number, piece in enumerate([*"abcdefgolt", "go", "lf", "golf"])}
    for merges, whole in (([("g", "o"), ("l", "f"), ("go", "lf")], True), ([], False)):
        inner = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
        inner.pre_tokenizer = pre_tokenizers.Whitespace()
        folder = saved(tmp_path / str(whole), PreTrainedTokenizerFast(tokenizer_object=inner))
        if whole:
            assert read_tokenizer(folder, 99)("golf").input_ids == [vocabulary["golf"]]
        else:
            refused(folder, 99, "merges")
