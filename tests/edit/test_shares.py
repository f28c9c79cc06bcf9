"""What several processes have of a step is the whole step, and each computes as often as any other."""

from dataclasses import replace

import pytest
import torch
from editing import FACTS, FORGET, localization

from mechlib.edit import train as training
from mechlib.edit.batches import prompt_batches, text_batches
from mechlib.edit.config import EditConfig
from mechlib.edit.general_text import sample
from mechlib.edit.trainable import Share, trainable
from mechlib.facts import FORMATS, prompts

RETAIN = prompts(FACTS[4:9], FORMATS["one_shot"])
CONFIG = EditConfig(retain_batch=5, text_batch=3, precision="float32", steps=1, kl_coefficient=0.8, forget_coefficient=3.0)


def computed(model, config, share):
    """Losses, gradients and the number of passes of one process's share of a step, away from the model that KL refers to."""
    train = replace(trainable(model, localization(model, ("L0.head3", "L1.mlp")), config.precision), share=share)
    (asked, *_) = steps = prompt_batches(train, FORGET, RETAIN, config)
    (lines, *_) = text_batches(train, sample(model, 3, 8, seed=0), config, steps)
    with torch.no_grad():
        for number, weight in enumerate(train.weights.values()):
            weight += 0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(number))
    losses = {name: loss.item() for name, loss in training._backward(train, asked, lines, config).items()}
    return losses, [weight.grad for weight in train.weights.values()], len(asked) + len(lines)


@pytest.mark.parametrize("of", [2, 7])
@pytest.mark.parametrize("micro_batch", [None, 2])
def test_shares_add_up_to_the_step(tiny_gemma3, of, micro_batch):
    """Of 9 prompts and 3 texts: neither number of processes divides both, and of seven most have no text that counts."""
    expected, gradients, _ = computed(tiny_gemma3, CONFIG, Share())
    shares = [computed(tiny_gemma3, replace(CONFIG, micro_batch=micro_batch), Share(rank, of)) for rank in range(of)]
    for name, loss in expected.items():
        assert sum(losses.get(name, 0.0) for losses, _, _ in shares) == pytest.approx(loss, rel=1e-5)
    for number, gradient in enumerate(gradients):
        torch.testing.assert_close(sum(own[number] for _, own, _ in shares), gradient, rtol=1e-4, atol=1e-6)
    assert len({passes for _, _, passes in shares}) == 1
