"""What trains: whichever optimizer, no weight outside the localization moves by a bit, at any step."""

import pytest
import torch
from editing import BITS, FORGET, LOCALIZATIONS, RETAIN, edited, inside, localization
from tiny_models import FAMILIES, tiny_model

from mechlib.components import Component, Localization
from mechlib.edit import train as training
from mechlib.edit.general_text import sample
from mechlib.edit.train import EditConfig, edit
from mechlib.edit.trainable import trainable
from mechlib.models.forward import hidden_states, tokenize
from mechlib.models.precision import computing

pytestmark = pytest.mark.precision


@pytest.fixture(scope="module")
def larger():
    """A model whose matrices have the 4096 weights from which on bitsandbytes keeps 8 bits."""
    return tiny_model("gemma3", hidden_size=128, head_dim=16)


@pytest.fixture
def spied(monkeypatch):
    """The weights and the optimizer of the edits that a test makes."""
    seen = {}
    for name in ("trainable", "_optimizer"):
        original = getattr(training, name)
        monkeypatch.setattr(training, name, lambda *given, name=name, original=original: seen.setdefault(name, original(*given)))
    return seen


def outside_stays(model, where, spied):
    """A report of progress that compares the bits of all weights outside the localization."""
    masks = inside(model, where)

    def check(done, of):
        trained = spied["trainable"].model.parameters
        for name, original in model.parameters.items():
            weight = trained[name]
            before = original.detach().to(weight.dtype).view(BITS[weight.dtype])
            assert torch.equal(weight.detach().view(BITS[weight.dtype])[~masks[name]], before[~masks[name]]), f"{name} in step {done}"

    return check


@pytest.mark.parametrize("where", LOCALIZATIONS.values(), ids=LOCALIZATIONS)
@pytest.mark.parametrize("optimizer", ["adamw", "adamw8bit"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_nothing_outside_the_localization_moves_at_any_step(larger, spied, where, optimizer, weight_decay):
    config = EditConfig(learning_rate=1e-2, steps=3, retain_batch=3, optimizer=optimizer, weight_decay=weight_decay, precision="float32")
    texts, check = sample(larger, 4, 8, seed=0), outside_stays(larger, where, spied)
    delta, _ = edit(larger, localization(larger, where), FORGET, RETAIN, texts, config, check)
    assert all(bool((change != 0).float().mean() > 0.9) for change in delta.blocks.values())


def test_the_state_is_of_8_bits_and_that_of_other_weights_moves_no_localized_one(larger, spied):
    where = ("L1.head2",)
    edited(larger, where, optimizer="adamw8bit", weight_decay=0.1, steps=4)
    masks, names = inside(larger, where), {weight: name for name, weight in spied["trainable"].weights.items()}
    assert len(names) == 2
    for weight, state in spied["_optimizer"].state.items():
        mask = masks[names[weight]].flatten()
        for number in ("1", "2"):
            codes, blocks = state["state" + number], state["absmax" + number]
            assert codes.dtype == torch.uint8
            values = state["qmap" + number][codes.flatten().long()].abs()
            # Blocks of 256 weights share a scale. Zeros are kept as its smallest step at most, so others' state cannot set it.
            scale = blocks.repeat_interleave(256)[: len(mask)]
            assert bool((values[~mask] * scale[~mask] <= 1e-4 * scale[~mask]).all())
            assert bool((blocks > 0).eq(torch.stack([part.any() for part in mask.split(256)])).all())


def test_eight_bits_train_nearly_as_thirty_two(larger):
    (full, curve), (small, again) = (edited(larger, ("L1.mlp",), optimizer=name, steps=8) for name in ("adamw", "adamw8bit"))
    assert again[0] == curve[0]
    assert again[-1].forget == pytest.approx(curve[-1].forget, rel=0.05)
    for block, change in full.blocks.items():
        similarity = torch.nn.functional.cosine_similarity(change.float().flatten(), small.blocks[block].float().flatten(), dim=0)
        assert similarity > 0.95


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_residual_stream_and_the_masters_are_float32(family, stored, precision):
    model = tiny_model(family)
    model.network.to(stored)
    train = trainable(model, localization(model, ("L0.head1", "L1.mlp")), precision)
    seen = []
    for module in train.model.layers:
        module.register_forward_pre_hook(lambda _module, arguments: seen.append(arguments[0].dtype))
    with computing(model, precision):
        hidden = hidden_states(train.model, tokenize(train.model, [prompt.text for prompt in FORGET]))
    hidden.sum().backward()
    assert seen == [torch.float32] * 3
    assert hidden.dtype == torch.float32
    assert {weight.dtype for weight in train.weights.values()} == {torch.float32}
    assert all(weight.grad.dtype == torch.float32 for weight in train.weights.values())
    assert not model.network.get_input_embeddings()._forward_hooks
    assert {weight.dtype for weight in model.parameters.values()} == {stored}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_stored_in_half_precision_trains_alike_in_both(family):
    stored = tiny_model(family)
    stored.network.bfloat16()
    half, full = (edited(stored, ("L1.mlp",), precision=precision, steps=1)[1][0] for precision in ("bfloat16", "float32"))
    assert (half.forget, half.retain, half.text) == pytest.approx((full.forget, full.retain, full.text), rel=0.02)


def test_what_two_components_share_is_trained_once(tiny_gemma3):
    """An attention layer of its own and the heads of another; a block that is named twice is one block."""
    where = Localization("twice", (Component(1, "mlp"), Component(1, "mlp"), Component(0, "head", 1)), 0)
    blocks = trainable(tiny_gemma3, where, "float32").blocks
    expected = [*Component(1, "mlp").weights(tiny_gemma3.architecture), *Component(0, "head", 1).weights(tiny_gemma3.architecture)]
    assert list(blocks) == expected
