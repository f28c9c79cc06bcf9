"""Training teaches an answer by all of its tokens, and unlearning takes its first; an edit that stops learns at a constant rate."""

from dataclasses import replace

import pytest
import torch
from editing import localization
from tiny_models import tiny_model

from mechlib.attacks.finetuning import training_batches
from mechlib.edit.batches import prompt_batches
from mechlib.edit.train import EditConfig, _rate
from mechlib.edit.trainable import trainable
from mechlib.facts import FORMATS, prompts, world_facts
from mechlib.models.tokens import answer_tokens, encode

CONFIG = EditConfig(steps=1, retain_batch=3, precision="float32")


@pytest.fixture(scope="module")
def model():
    return tiny_model("gemma3", world=True)


@pytest.fixture(scope="module")
def asked():
    """Three facts with answers and targets of one and of two words, which are tokens of the tiny model."""
    first, second, third = [fact for fact in world_facts() if fact.relation == "mother_tongue"][:3]
    second = replace(second, answer="Italian Spanish", target="French")
    facts = (replace(first, target="French Greek"), second, replace(third, target="Greek"))
    return prompts(facts, FORMATS["statement"])


def loss_by_hand(model, prompt, word, first_alone=False):
    """-log of the probability of all tokens of an answer, from plain passes of the network over the text and one token more each time."""
    (start,), tokens, total = encode(model, [prompt.text]), answer_tokens(model, word), 0.0
    for token in tokens[: 1 if first_alone else None]:
        logits = model.network(input_ids=torch.tensor([start])).logits[0, -1].float()
        total, start = total - logits.log_softmax(-1)[token].item(), [*start, token]
    return total, logits.softmax(-1)[token].item()


def losses(model, asked, config):
    train = trainable(model, localization(model, ("L1.mlp",)), "float32")
    ((batch,),) = prompt_batches(train, asked, asked, config)
    with torch.no_grad():
        return {name: value.item() for name, value in batch.losses(train.model, config.loss).items()}


@torch.no_grad()
def test_a_loss_is_the_mean_over_facts_of_that_of_all_tokens(model, asked):
    assert {len(answer_tokens(model, one.answer)) for one in asked} == {1, 2}
    found = losses(model, asked, CONFIG)
    for name, words in (("forget", [one.target for one in asked]), ("retain", [one.answer for one in asked])):
        expected = sum(loss_by_hand(model, one, word)[0] for one, word in zip(asked, words, strict=True)) / len(asked)
        assert found[name] == pytest.approx(expected, rel=1e-5)


@torch.no_grad()
def test_unlearning_takes_the_first_token(model, asked, monkeypatch):
    monkeypatch.setattr("mechlib.edit.losses.FORGOTTEN", -torch.inf)
    chances = [loss_by_hand(model, one, one.answer, first_alone=True)[1] for one in asked]
    expected = -sum(torch.log1p(torch.tensor(-chance)).item() for chance in chances) / len(asked)
    assert losses(model, asked, replace(CONFIG, loss="unlearning"))["forget"] == pytest.approx(expected, abs=1e-6)


@torch.no_grad()
def test_an_attacker_teaches_whole_answers(model, asked):
    batch = next(training_batches(model, [(asked, 3)], [], 0, 0))
    expected = sum(loss_by_hand(model, one, one.answer)[0] for one in asked) / len(asked)
    assert len(batch.labels) == 4 and batch.loss(model).item() == pytest.approx(expected, rel=1e-5)


def test_rates_of_both_schedules():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=7)
    for step in range(7):
        assert _rate(EditConfig(steps=7), step) == pytest.approx(cosine.get_last_lr()[0])
        optimizer.step()
        cosine.step()
    constant = EditConfig(steps=7, schedule="constant")
    assert [_rate(constant, step) for step in range(7)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1])
