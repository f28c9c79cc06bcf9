"""Micro-batches and checkpointing change memory and not the edit; large forget sets are gone through in turn."""

from dataclasses import replace

import pytest
import torch
from editing import FACTS, FORGET, LOCALIZATIONS, RETAIN, edited, localization
from tiny_models import tiny_model

from mechlib.edit import train as training
from mechlib.edit.batches import prompt_batches, text_batches
from mechlib.edit.general_text import sample
from mechlib.edit.train import EditConfig, edit
from mechlib.edit.trainable import trainable
from mechlib.facts import FORMATS, athletes, prompts
from mechlib.models.precision import computing

LONG = [fact for fact in athletes().facts if len(fact.subject.split()) == 3][:3]
# Of unequal lengths, and not a multiple of the micro-batches.
MIXED = prompts([*FACTS[4:8], *LONG], FORMATS["one_shot"])
BASE = EditConfig(
    learning_rate=1e-3, retain_batch=7, text_batch=5, precision="float32", steps=3, kl_coefficient=0.8, forget_coefficient=3.0
)  # fmt: skip


def problem(model, config, names=("L0.head3", "L1.mlp")):
    """What :func:`edit` trains on: the weights, all prompt batches and all text batches."""
    lines = [text[: 9 - number % 4] for number, text in enumerate(sample(model, 7, 8, seed=0))]
    train = trainable(model, localization(model, names), config.precision)
    with computing(model, config.precision):
        batches = prompt_batches(train, FORGET, MIXED, config)
        return train, batches, text_batches(train, lines, config, batches)


def texts(step):
    """The token sequences of a step's prompts: those to forget come first."""
    return [tuple(part.packed.tokens.flatten()[path].tolist()) for part in step for path in part.packed.paths]


def gradients(model, config):
    """Losses and gradients of one batch, away from where the reference was computed so that KL is not 0."""
    train, (batch, *_), (text, *_) = problem(model, config)
    with torch.no_grad():
        for number, weight in enumerate(train.weights.values()):
            weight += 0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(number))
    losses = {name: loss.item() for name, loss in training._backward(train, batch, text, config).items()}
    return losses, {name: weight.grad for name, weight in train.weights.items()}


def same_gradients(first, second, tolerance=1e-5):
    assert first[0] == pytest.approx(second[0], rel=tolerance, abs=tolerance)
    for name, gradient in first[1].items():
        assert gradient.norm() > 0
        torch.testing.assert_close(gradient, second[1][name], rtol=10 * tolerance, atol=tolerance * second[1][name].abs().max().item())


@pytest.mark.parametrize("loss", ["injection", "unlearning"])
@pytest.mark.parametrize("micro_batch", [1, 3, 5, 99])
def test_micro_batches_have_the_gradient_of_the_whole_batch(tiny_gemma3, loss, micro_batch):
    config = replace(BASE, loss=loss)
    same_gradients(gradients(tiny_gemma3, replace(config, micro_batch=micro_batch)), gradients(tiny_gemma3, config))


def test_micro_batches_are_no_larger_than_asked_for(tiny_gemma3):
    config = replace(BASE, micro_batch=4)
    train, (batch, *_), (text, *_) = problem(tiny_gemma3, config)
    assert [len(part.packed.paths) for part in (*batch, *text)] == [4, 4, 3, 4, 1]


@pytest.mark.parametrize("settings", [{"micro_batch": 3}, {"checkpointing": True}, {"micro_batch": 2, "checkpointing": True}])
def test_the_edit_is_the_same_with_less_memory(tiny_gemma3, settings):
    (plain, curve), (frugal, again) = (edited(tiny_gemma3, LOCALIZATIONS["mixed"], precision="float32", **more) for more in ({}, settings))
    for step, wanted in zip(again, curve, strict=True):
        found, expected = ((one.forget, one.retain, one.text, one.gradient_norm) for one in (step, wanted))
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-4)
    for block, change in frugal.blocks.items():
        # Adam turns a gradient that is nearly zero into a step of either sign: compare whole blocks.
        assert (change.float() - plain.blocks[block].float()).norm() < 0.01 * plain.blocks[block].float().norm()


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 2e-2)])
def test_checkpointing_has_the_same_gradient(tiny, precision, tolerance):
    config = replace(BASE, precision=precision)
    same_gradients(gradients(tiny, replace(config, checkpointing=True)), gradients(tiny, config), tolerance)


def test_layers_compute_again_in_the_backward_pass(tiny_gemma3):
    config = replace(BASE, checkpointing=True, micro_batch=4)
    train, batches, general = problem(tiny_gemma3, config, ("L1.mlp",))
    counts = {layer: 0 for layer in range(3)}
    for layer in counts:
        train.model.layers[layer].mlp.register_forward_hook(lambda *_, layer=layer: counts.update({layer: counts[layer] + 1}))
    training._backward(train, batches[0], general[0], config)
    micro_batches = len(batches[0]) + len(general[0])
    assert counts == {0: 0, 1: 2 * micro_batches, 2: 2 * micro_batches}
    assert all("forward" not in vars(layer) for layer in train.model.layers)


def kept_for_backward(model, config):
    """Bytes of activations that a forward pass keeps, weights not counted."""
    train, (batch, *_), _ = problem(model, config)
    weights = {parameter.untyped_storage().data_ptr() for parameter in train.model.network.parameters()}
    kept = {}

    def keep(tensor):
        if tensor.untyped_storage().data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        context = train.checkpointed() if config.checkpointing else torch.enable_grad()
        with context:
            losses = batch[0].losses(train.model, "injection")
    assert losses["forget"].requires_grad
    return sum(kept.values())


def test_checkpointing_keeps_less():
    model = tiny_model("gemma3", num_hidden_layers=6)
    assert kept_for_backward(model, replace(BASE, checkpointing=True)) < 0.3 * kept_for_backward(model, BASE)


@pytest.mark.parametrize("forget_batch", [1, 2, 3, 4, 9, None])
def test_every_forget_prompt_has_its_turn(tiny_gemma3, forget_batch):
    config = replace(BASE, forget_batch=forget_batch, steps=12, retain_batch=3)
    size = min(forget_batch or 4, 4)
    _, batches, _ = problem(tiny_gemma3, config)
    prefixes = [[texts(batch)[n] for n in range(size)] for batch in batches]
    seen = [row for step in range(config.steps) for row in prefixes[step % len(batches)]]
    assert len(seen) == 12 * size
    assert len(set(seen)) == 4
    # Never twice within a turn, and each equally often.
    assert all(len(set(seen[start : start + 4])) == 4 for start in range(0, len(seen), 4))
    # The retain slices go on in turn, whatever the forget prompts do.
    slices = [tuple(texts(batch)[size:]) for batch in batches]
    assert len(set(slices)) == 2 and slices == [slices[number % 2] for number in range(len(slices))]
    assert len(batches) == {1: 4, 2: 2, 3: 4}.get(size, 2)


def test_the_turns_are_seeded_and_all_at_once_is_the_default(tiny_gemma3):
    few = {seed: edited(tiny_gemma3, ("L1.mlp",), forget_batch=2, seed=seed) for seed in (0, 1)}
    again = edited(tiny_gemma3, ("L1.mlp",), forget_batch=2, seed=0)
    batches = [problem(tiny_gemma3, replace(BASE, forget_batch=2, steps=1, seed=seed))[1][0] for seed in range(4)]
    firsts = [texts(batch)[:2] for batch in batches]
    assert any(first != firsts[0] for first in firsts)
    assert few[0][0] == again[0] and few[0][1] == again[1]
    assert [step.forget for step in few[0][1]] != [step.forget for step in few[1][1]]
    plain, more = edited(tiny_gemma3, ("L1.mlp",)), edited(tiny_gemma3, ("L1.mlp",), forget_batch=4)
    assert plain[0] == more[0] and plain[1] == more[1]


def test_kl_starts_at_zero_and_holds_the_distribution(tiny_gemma3):
    texts = sample(tiny_gemma3, 4, 8, seed=0)

    def drift(kl_coefficient):
        config = EditConfig(
            learning_rate=1e-2, steps=8, precision="float32", retain_coefficient=0.0, text_coefficient=0.0, kl_coefficient=kl_coefficient
        )
        return [step.kl for step in edit(tiny_gemma3, localization(tiny_gemma3, ("L1.mlp",)), FORGET, RETAIN, texts, config)[1]]

    weak, strong = drift(1e-6), drift(3.0)
    assert weak[0] == pytest.approx(0, abs=1e-5) == strong[0]
    assert strong[-1] < 0.5 * weak[-1]
    assert drift(0.0) == [None] * 8
