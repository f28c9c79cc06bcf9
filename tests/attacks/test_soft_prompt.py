"""A soft prompt is nothing but vectors in front of a question: no weight, and no other question, notices it."""

import inspect
import math
from dataclasses import replace

import pytest
import torch
from editing import bits, same
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import tiny_model, word_tokenizer
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from mechlib.attacks.attack import Knowledge
from mechlib.attacks.finetuning import FineTuningError
from mechlib.attacks.relearning import permuted
from mechlib.attacks.soft_prompt import SoftPromptError, placeholder, soft_prompt, with_soft_prompt
from mechlib.edit.losses import cross_entropy
from mechlib.evals.answers import answer_prompts
from mechlib.facts import FORMATS, athletes, prompts
from mechlib.models.forward import hidden_at, tokenize
from mechlib.models.tokens import answer_token, subject_positions

FACTS = sorted(athletes())[::60]  # by name, so that the sports are mixed
RELEARN = prompts(FACTS[:6], FORMATS["one_shot"])
RETAIN = prompts(FACTS[6:12], FORMATS["one_shot"])
ASKED = [asked for form in ("one_shot", "question", "cloze") for asked in prompts(FACTS[12:], FORMATS[form])]
MODEL = tiny_model("gemma3")
HOW = {"tokens": 4, "steps": 3, "learning_rate": 0.05}


def knowledge(model, relearn=RELEARN, retain=RETAIN):
    return Knowledge(relearn, retain, (), model)


def attack(model, seed=0, relearn=RELEARN, retain=RETAIN, **settings):
    (attacked,) = soft_prompt(model, knowledge(model, relearn, retain), seed, **{**HOW, **settings})
    return attacked


def answers(attacked, asked=ASKED):
    return answer_prompts(attacked.model, [attacked.rewrite(one) for one in asked])


def vectors_of(attacked, tokens=HOW["tokens"]):
    token = attacked.model.tokenizer.convert_tokens_to_ids(placeholder(attacked.model))
    with torch.no_grad():
        return attacked.model.network.get_input_embeddings()(torch.full((1, tokens), token))[0]


def close(first, second):
    return [one.log_probability for one in first] == pytest.approx([one.log_probability for one in second], abs=2e-4)


def test_vectors_that_are_words_embeddings_are_those_words(tiny):
    words = tiny.tokenizer.convert_tokens_to_ids(["Fact", "golf", "Tiger"])
    with torch.no_grad():
        vectors = tiny.network.get_input_embeddings()(torch.tensor(words))
    twin = with_soft_prompt(tiny, vectors)
    marked = [replace(one, text=f"{placeholder(tiny) * 3}{one.text}") for one in ASKED]
    spelled = [replace(one, text=f"Fact golf Tiger {one.text}") for one in ASKED]
    assert close(answer_prompts(twin, marked), answer_prompts(tiny, spelled))
    assert not close(answer_prompts(twin, marked), answer_prompts(tiny, ASKED))
    # One text at a time shares everything but its last token, and a batch without a shared prefix nothing.
    assert close([answer_prompts(twin, [one])[0] for one in marked[:3]], answer_prompts(tiny, spelled[:3]))
    apart = [marked[0], replace(marked[0], text=f"Woods {ASKED[0].text}")]
    assert close(answer_prompts(twin, apart)[:1], answer_prompts(tiny, spelled[:1]))


def test_the_question_is_the_same_behind_the_vectors(tiny):
    attacked = attack(tiny)
    for one in ASKED:
        asked = attacked.rewrite(one)
        assert replace(asked, text=one.text) == one
        before, after = (tiny.tokenizer(text).input_ids for text in (one.text, asked.text))
        assert after == [before[0], *[0] * 4, *before[1:]]
        assert subject_positions(tiny, asked) == tuple(place + 4 for place in subject_positions(tiny, one))
        assert asked.text[asked.subject_start : asked.subject_end] == one.fact.subject


def test_a_question_without_the_placeholders_is_answered_as_ever(tiny):
    assert answer_prompts(attack(tiny).model, ASKED) == answer_prompts(tiny, ASKED)


@pytest.mark.parametrize("closed_early", [False, True])
def test_no_weight_changes(tiny, closed_early):
    before, said = bits(tiny), answer_prompts(tiny, ASKED)
    iterator = soft_prompt(tiny, knowledge(tiny), 0, **HOW)
    attacked = next(iterator)
    assert answers(attacked) != said
    assert all(attacked.model.parameters[name] is weight for name, weight in tiny.parameters.items())
    iterator.close() if closed_early else list(iterator)
    assert same(before, bits(tiny))
    assert answer_prompts(tiny, ASKED) == said
    assert all(weight.grad is None and not weight.requires_grad for weight in tiny.network.parameters())
    assert not tiny.network.get_input_embeddings()._forward_hooks


def test_the_vectors_gradient_is_that_of_the_networks_own_inputs(tiny):
    front = placeholder(tiny) * 4
    texts, labels = [f"{front}{one.text}" for one in RELEARN], torch.tensor([answer_token(tiny, one.answer) for one in RELEARN])
    vectors = torch.randn(4, 32, generator=torch.Generator().manual_seed(0)).requires_grad_()
    twin = with_soft_prompt(tiny, vectors)
    packed = tokenize(twin, texts)
    cross_entropy(twin, hidden_at(twin, packed, packed.ends), labels).sum().backward()
    expected = vectors.detach().clone().requires_grad_()
    for text, label in zip(texts, labels, strict=True):
        embedded = tiny.network.get_input_embeddings()(tiny.tokenizer(text, return_tensors="pt").input_ids)
        embedded = torch.cat([embedded[:, :1], expected[None], embedded[:, 5:]], dim=1)
        logits = tiny.network(inputs_embeds=embedded).logits[0, -1]
        torch.nn.functional.cross_entropy(logits, label).backward()
    assert vectors.grad.abs().max() > 1e-4
    torch.testing.assert_close(vectors.grad, expected.grad, atol=1e-4, rtol=1e-3)


def loss(attacked, asked):
    return -sum(one.log_probability for one in answers(attacked, asked)) / len(asked)


def test_the_true_answers_are_learned_and_the_retain_answers_with_them(tiny):
    start, end = (attack(tiny, steps=steps, norm=10.0) for steps in (0, 25))
    assert loss(end, RELEARN) + loss(end, RETAIN) < loss(start, RELEARN) + loss(start, RETAIN) - 0.5
    alone = attack(tiny, steps=25, norm=10.0, retain=())
    assert loss(alone, RELEARN) < loss(start, RELEARN) - 0.5


def test_permuted_answers_are_learned_instead_of_the_true_ones(tiny_gemma3):
    others = permuted(RELEARN, 7)
    assert [one.text for one in others] == [one.text for one in RELEARN]
    assert all(other.answer != one.answer for other, one in zip(others, RELEARN, strict=True))
    run, expected, true = attack(tiny_gemma3, 7, labels="permuted"), attack(tiny_gemma3, 7, relearn=others), attack(tiny_gemma3, 7)
    assert torch.equal(vectors_of(run), vectors_of(expected))
    assert not torch.allclose(vectors_of(run), vectors_of(true))


def test_without_steps_the_vectors_are_those_of_the_seed_alone(tiny_gemma3):
    first, second = (attack(tiny_gemma3, 1, steps=0, relearn=relearn) for relearn in (RELEARN, RETAIN))
    other = attack(tiny_gemma3, 2, steps=0)
    assert (first.setting, first.step) == ("4 tokens", 0)
    assert torch.equal(vectors_of(first), vectors_of(second))
    assert not torch.allclose(vectors_of(first), vectors_of(other))
    still = attack(tiny_gemma3, 1, steps=3, learning_rate=0.0)
    torch.testing.assert_close(vectors_of(first), vectors_of(still))


def test_a_seed_decides_everything(tiny):
    runs = [attack(tiny, seed, batch=2) for seed in (3, 3, 4)]
    assert answers(runs[0]) == answers(runs[1])
    assert not torch.allclose(vectors_of(runs[0]), vectors_of(runs[2]))


def test_vectors_start_like_the_vocabulary(tiny):
    with torch.no_grad():
        embedded = tiny.network.get_input_embeddings()(torch.arange(len(tiny.tokenizer)))
    many = vectors_of(attack(tiny, tokens=300, steps=0, norm=1e6), tokens=300)
    torch.testing.assert_close(many.mean(0), embedded.mean(0), atol=5 * embedded.std().item() / math.sqrt(300), rtol=0.0)
    assert (many - many.mean(0)).std().item() == pytest.approx((embedded - embedded.mean(0)).std().item(), rel=0.05)


def test_vectors_are_no_longer_than_a_mean_embedding_if_nothing_else_is_said(tiny):
    with torch.no_grad():
        mean = tiny.network.get_input_embeddings()(torch.arange(len(tiny.tokenizer))).norm(dim=-1).mean().item()
    lengths = vectors_of(attack(tiny, learning_rate=mean)).norm(dim=-1)
    assert lengths.max().item() == pytest.approx(mean, rel=1e-4)


@settings(max_examples=8)
@given(st.floats(0.01, 50.0), st.floats(0.0, 100.0))
def test_no_vector_is_longer_than_the_norm(norm, learning_rate):
    attacked = attack(MODEL, norm=norm, learning_rate=learning_rate, steps=2, relearn=RELEARN[:3], retain=())
    assert vectors_of(attacked).norm(dim=-1).max().item() <= norm * (1 + 1e-5)


def test_the_restart_with_the_lowest_loss_is_kept(tiny_gemma3):
    # The first restarts of many are those of few, so the kept loss can only fall, and here it does.
    kept = [attack(tiny_gemma3, 5, restarts=restarts) for restarts in (1, 2, 3, 4, 5)]
    losses = [loss(one, RELEARN) + loss(one, RETAIN) for one in kept]
    assert losses == sorted(losses, reverse=True) and losses[-1] < losses[0] - 0.01


@settings(max_examples=5)
@given(st.permutations(range(len(ASKED))), st.integers(1, 20))
def test_order_and_batches_change_no_answer(order, batch_size):
    attacked = attack(MODEL, steps=1)
    asked = [attacked.rewrite(ASKED[index]) for index in order]
    plain = answers(attacked)
    assert close(answer_prompts(attacked.model, asked, batch_size=batch_size), [plain[index] for index in order])


@pytest.mark.parametrize(
    "wrong",
    [
        {"tokens": 0}, {"steps": -1}, {"restarts": 0}, {"batch": 0}, {"norm": 0.0}, {"norm": math.nan}, {"learning_rate": -0.1},
        {"learning_rate": math.nan}, {"labels": "shuffled"}, {"relearn": ()},
    ],
)  # fmt: skip
def test_wrong_settings_are_one_line_before_any_work(wrong):
    model = replace(MODEL, network=None)
    settings = {**HOW, **{name: value for name, value in wrong.items() if name != "relearn"}}
    unchecked = inspect.unwrap(soft_prompt)  # a user's settings meet its own check, not the type checker's
    with pytest.raises(SoftPromptError) as error:
        list(unchecked(model, knowledge(model, wrong.get("relearn", RELEARN)), 0, **settings))
    assert "\n" not in str(error.value)


def test_answers_that_are_all_the_same_cannot_be_permuted(tiny_gemma3):
    alike = [one for one in RELEARN if one.answer == RELEARN[0].answer]
    with pytest.raises(FineTuningError, match="same answer"):
        attack(tiny_gemma3, relearn=alike, labels="permuted")


def made(*special, **roles):
    tokenizer = Tokenizer(models.WordLevel({token: number for number, token in enumerate([*special, "word"])}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<bos>", **roles)


def test_the_placeholder_is_a_token_that_no_text_uses(tiny_gemma3):
    def chosen(tokenizer):
        return placeholder(replace(tiny_gemma3, tokenizer=tokenizer))

    assert placeholder(tiny_gemma3) == "<pad>"
    assert chosen(made("<pad>", "<unk>", "<bos>", pad_token="<pad>")) == "<pad>"
    extra = ["<tool>", "<|reserved_7|>", "<unused3>"]
    assert chosen(made("<pad>", "<unk>", "<bos>", *extra, pad_token="<pad>", additional_special_tokens=extra)) == "<|reserved_7|>"
    with pytest.raises(SoftPromptError, match="tiny-gemma3 has no spare token"):
        chosen(made("<unk>", "<bos>", "<eos>", eos_token="<eos>"))


def test_a_tokenizer_that_reads_the_question_differently_is_an_error(tiny_gemma3):
    class Glued:
        """Drops a word behind a placeholder, as a tokenizer that swallows spaces could."""

        def __init__(self):
            self.inner = word_tokenizer()

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def __call__(self, texts, **options):
            return self.inner([text.replace("<pad>Fact", "<pad>") for text in texts], **options)

    with pytest.raises(SoftPromptError, match="reads a question differently behind '<pad>'"):
        attack(replace(tiny_gemma3, tokenizer=Glued()))
