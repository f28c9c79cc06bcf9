"""Whole answers: their probabilities and what the model says are those of the plain network, token by token."""

from dataclasses import asdict, replace

import pytest
import torch
from tiny_models import tiny_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from mechlib.evals.answers import WholeAnswer, answer_prompts
from mechlib.facts import FORMATS, FactError, athletes, prompts, world_facts
from mechlib.models.tokens import answer_tokens

MODEL = tiny_model("gemma3", world=True)
FACTS = world_facts().facts[::70]
ASKED = [one for form in ("one_shot", "statement") for one in prompts(FACTS, FORMATS[form])]


def aimed(asked, answer, target=None):
    return replace(asked, answer=answer, target=target, options=tuple(word for word in (answer, target) if word))


def ids(model, text):
    return model.tokenizer(text, return_tensors="pt").input_ids


def generated(model, text, count):
    """The plain network's own greedy continuation."""
    start = ids(model, text)
    whole = model.network.generate(start, attention_mask=torch.ones_like(start), max_new_tokens=count, do_sample=False)
    return whole[0, start.shape[1] :].tolist()


def log_probability(model, text, answer):
    """Teacher-forced, by the plain network."""
    start, own = ids(model, text), torch.tensor([answer_tokens(model, answer)])
    with torch.no_grad():
        logits = model.network(torch.cat([start, own], 1)).logits[0].float().log_softmax(-1)
    return sum(logits[start.shape[1] - 1 + place, token].item() for place, token in enumerate(own[0].tolist()))


def words(model, tokens):
    return "".join(f" {word}" for word in model.tokenizer.convert_ids_to_tokens(tokens))


@pytest.mark.parametrize("family", ["gemma3", "llama", "qwen2"])
def test_log_probabilities_are_those_of_all_tokens(family):
    model = tiny_model(family, world=True)
    asked = [aimed(one, f"{one.answer}{ASKED[at - 3].answer} city", f"{one.target} city") for at, one in enumerate(ASKED)]
    for one, found in zip(asked, answer_prompts(model, asked, "some", batch_size=9), strict=True):
        assert isinstance(found, WholeAnswer)
        assert found.log_probability == pytest.approx(log_probability(model, one.text, one.answer), abs=1e-3)
        assert found.target_log_probability == pytest.approx(log_probability(model, one.text, one.target), abs=1e-3)
        first = words(model, answer_tokens(model, one.answer)[:1])
        assert found.first_log_probability == pytest.approx(log_probability(model, one.text, first), abs=1e-3)
        assert (found.answer_tokens, found.group) == (3, "some")


def test_an_answer_is_not_right_because_its_first_token_is():
    said = [generated(MODEL, one.text, 3) for one in ASKED]
    other = next(token for token in range(3, 99) if all(token not in tokens for tokens in said))
    whole = [aimed(one, words(MODEL, tokens[:2]), words(MODEL, [tokens[0], other])) for one, tokens in zip(ASKED, said, strict=True)]
    begun = [aimed(one, words(MODEL, [tokens[0], other]), words(MODEL, tokens)) for one, tokens in zip(ASKED, said, strict=True)]
    for found in answer_prompts(MODEL, whole):
        assert (found.correct, found.edited, found.said, found.rank) == (True, False, found.said, 0)
    for one, found in zip(begun, answer_prompts(MODEL, begun), strict=True):
        assert (found.correct, found.edited, found.said, found.rank) == (False, True, one.target.strip(), 0)
    # By first tokens both are right.
    assert {(found.correct, found.edited) for found in answer_prompts(MODEL, begun, whole=False)} == {(True, True)}


def test_what_is_said_is_the_free_greedy_answer():
    asked = [aimed(one, " city in the", " the city") for one in ASKED]
    for one, found in zip(asked, answer_prompts(MODEL, asked), strict=True):
        tokens = generated(MODEL, one.text, 3)
        if words(MODEL, tokens) not in (one.answer, f"{one.target}{words(MODEL, tokens[2:])}"):
            assert found.said == MODEL.tokenizer.decode(tokens).strip()
            assert (found.correct, found.edited) == (False, False)


def test_of_two_answers_that_begin_alike_the_longer_one_that_is_said_counts():
    for one in ASKED[::5]:
        tokens = generated(MODEL, one.text, 2)
        short, long = words(MODEL, tokens[:1]), words(MODEL, tokens)
        found, turned = answer_prompts(MODEL, [aimed(one, short, long), aimed(one, long, short)])
        assert (found.correct, found.edited, turned.correct, turned.edited) == (False, True, True, False)


def test_neither_order_nor_batches_count():
    asked = [aimed(one, f"{one.answer} city", one.target) for one in ASKED]
    plain = answer_prompts(MODEL, asked)
    turned = answer_prompts(MODEL, asked[::-1], batch_size=7)[::-1]
    for one, other in zip(plain, turned, strict=True):
        assert (one.subject, one.said, one.correct, one.rank) == (other.subject, other.said, other.correct, other.rank)
        assert other.log_probability == pytest.approx(one.log_probability, abs=1e-4)


def test_answers_of_one_token_are_answered_as_by_their_first():
    # In words without pieces nothing goes on.
    for asked in (ASKED, prompts(athletes().facts[::90], FORMATS["few_shot"])):
        for whole, first in zip(answer_prompts(MODEL, asked), answer_prompts(MODEL, asked, whole=False), strict=True):
            own, other = asdict(whole), asdict(first)
            assert own.pop("answer_tokens") == 1
            assert own.pop("first_log_probability") == pytest.approx(other["log_probability"], abs=1e-4)
            assert own == pytest.approx(other, abs=1e-4)


def test_long_answers_of_a_closed_list_share_their_probability():
    options = (" golf", " baseball basketball", " football golf city")
    asked = [replace(one, open=False, options=options, answer=options[1], target=options[2]) for one in ASKED[:8]]
    for one, found in zip(asked, answer_prompts(MODEL, asked), strict=True):
        each = torch.tensor([log_probability(MODEL, one.text, option) for option in options])
        assert found.probability == pytest.approx(each.softmax(0)[1].item(), abs=1e-4)
        assert found.option_mass == pytest.approx(each.exp().sum().item(), rel=1e-3)
        assert (found.said, found.correct) == (options[each.argmax()].strip(), each.argmax() == 1)
    with pytest.raises(FactError, match="is 2 tokens"):
        answer_prompts(MODEL, asked, whole=False)


def test_answers_of_the_same_tokens_are_one_line():
    with pytest.raises(FactError, match="the same tokens"):
        answer_prompts(MODEL, [aimed(ASKED[0], " Italy", "  Italy")])


@pytest.fixture(scope="module")
def pieces():
    """The model with a tokenizer that cuts words: every even word of the vocabulary is the end of one, behind an odd one."""
    size = len(MODEL.tokenizer)
    special = ["<pad>", "<bos>", "<unk>"]
    vocabulary = {word: at for at, word in enumerate([*special, *(f"{'##' if at % 2 else ''}w{at}x" for at in range(3, size))])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.WhitespaceSplit(), decoders.WordPiece(cleanup=False)
    return replace(MODEL, tokenizer=PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>"))


def test_an_answer_is_wrong_whose_last_word_goes_on(pieces):
    texts = [f"w{2 * at}x w{2 * other}x" for at in range(10, 40) for other in range(10, 20)]
    said = [(text, *generated(pieces, text, 2)) for text in texts]
    words = [(text, first, second) for text, first, second in said if not first % 2]
    for text, first, second in words:
        (found,) = answer_prompts(pieces, [aimed(replace(ASKED[0], text=text), f" w{first}x")])
        assert found.correct == (not second % 2)
        assert found.said == (f"w{first}xw{second}x" if second % 2 else f"w{first}x")
    assert {second % 2 for _, _, second in words} == {0, 1}


def test_so_is_an_answer_of_two_words(pieces):
    texts = [f"w{2 * at}x w{2 * other}x" for at in range(10, 40) for other in range(10, 20)]
    said = [(text, *generated(pieces, text, 3)) for text in texts]
    words = [(text, first, second, third) for text, first, second, third in said if not first % 2 and not second % 2]
    for text, first, second, third in words:
        (found,) = answer_prompts(pieces, [aimed(replace(ASKED[0], text=text), f" w{first}x w{second}x")])
        assert found.correct == (not third % 2)
    assert {third % 2 for *_, third in words} == {0, 1}

