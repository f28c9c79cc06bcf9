"""What saves memory changes no number: casts on use, originals put aside; and training that stops at a success."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from editing import FORGET, LOCALIZATIONS, RETAIN, bits, edited, localization, same
from tiny_models import FAMILIES, tiny_model
from torch import nn
from torch.utils.checkpoint import checkpoint

from mechlib.checks import ParameterError
from mechlib.edit import trainable as module
from mechlib.edit.config import EditConfig
from mechlib.edit.delta import EditError
from mechlib.edit.general_text import sample
from mechlib.edit.train import edit
from mechlib.edit.trainable import trainable
from mechlib.facts import FORMATS, prompts
from mechlib.models.forward import hidden_states, tokenize
from mechlib.models.precision import cast_on_use, computing

pytestmark = pytest.mark.precision

ROWS, TEXT, WIDTHS = 5, 7, (24, 40)


def layers(bias):
    """The same trained linear layer twice: as autocast casts it, and cast on use."""
    torch.manual_seed(0)
    plain = nn.Linear(*WIDTHS, bias=bias)
    if bias:
        plain.bias.requires_grad_(False)
    cast = copy.deepcopy(plain)
    cast_on_use(cast)
    return plain, cast


def learned(layer, inputs, upstream, through=lambda function, *given: function(*given)):
    """Outputs, and the gradients of the inputs and of the weight, in autocast to bfloat16."""
    given = inputs.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        outputs = through(layer, given)
    outputs.backward(upstream)
    return outputs.detach(), given.grad, layer.weight.grad


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("again", [False, True], ids=["kept", "checkpointed"])
def test_a_cast_on_use_has_the_numbers_of_autocast_s_own(bias, dtype, again):
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(ROWS, TEXT, WIDTHS[0], generator=generator).to(dtype)
    upstream = torch.randn(ROWS, TEXT, WIDTHS[1], generator=generator).bfloat16()
    plain, cast = layers(bias)
    again = {"through": lambda function, given: checkpoint(function, given, use_reentrant=False)} if again else {}
    expected, found = learned(plain, inputs, upstream), learned(cast, inputs, upstream, **again)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert cast.weight.grad.dtype == torch.float32
    assert cast.weight.grad.norm() > 0


def test_gradients_of_several_products_add_up():
    plain, cast = layers(False)
    inputs, upstream = torch.randn(ROWS, WIDTHS[0]), torch.randn(ROWS, WIDTHS[1]).bfloat16()
    once = learned(copy.deepcopy(cast), inputs, upstream)[2]
    learned(cast, inputs, upstream)
    torch.testing.assert_close(learned(cast, inputs, upstream)[2], 2 * once, rtol=0, atol=0)


def losses_and_gradients(model, names):
    train = trainable(model, localization(model, names), "bfloat16")
    batch = tokenize(train.model, [prompt.text for prompt in FORGET])
    with computing(train.model, "bfloat16"):
        loss = hidden_states(train.model, batch).square().mean()
    loss.backward()
    return loss.item(), {name: weight.grad for name, weight in train.weights.items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_network_s_losses_and_gradients_are_those_of_autocast(family, monkeypatch):
    model = tiny_model(family)
    for name, weight in model.parameters.items():
        if name.endswith("bias"):
            weight.data = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    loss, found = losses_and_gradients(model, LOCALIZATIONS["mixed"])
    monkeypatch.setattr(module, "cast_on_use", lambda _module: None)
    expected, gradients = losses_and_gradients(model, LOCALIZATIONS["mixed"])
    assert loss == expected
    for name, gradient in gradients.items():
        assert gradient.norm() > 0
        torch.testing.assert_close(found[name], gradient, rtol=0, atol=0)


@pytest.mark.parametrize("kept", [True, False], ids=["cast on use", "autocast"])
def test_no_cast_of_a_trained_weight_is_kept_for_the_backward_pass(tiny, monkeypatch, kept):
    """The second case is what the first saves: it shows that a cast would be seen."""
    if not kept:
        monkeypatch.setattr(module, "cast_on_use", lambda _module: None)
    train = trainable(tiny, localization(tiny, ("L1.mlp", "L2.attn")), "bfloat16")
    shapes = {frozenset(weight.shape) for weight in train.weights.values()}
    saved = []
    batch = tokenize(train.model, [prompt.text for prompt in FORGET[:3]])
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor)
    with hooks, computing(train.model, "bfloat16"):
        hidden_states(train.model, batch)
    matrices = [tensor for tensor in saved if tensor.ndim == 2 and frozenset(tensor.shape) in shapes and tensor.dtype == torch.bfloat16]
    held = {weight.data_ptr() for weight in train.model.network.parameters()}
    assert all(tensor.data_ptr() in held for tensor in matrices) == kept


@pytest.mark.parametrize("fails", [False, True])
def test_originals_come_back_bit_by_bit(tiny, fails, monkeypatch):
    """A copy stands for the way out of an accelerator's memory and back."""
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: tensor.clone())
    train, before = trainable(tiny, localization(tiny, LOCALIZATIONS["mixed"]), "bfloat16"), bits(tiny)
    places = {name: weight.data_ptr() for name, weight in tiny.parameters.items()}
    identities = {name: id(weight) for name, weight in tiny.parameters.items()}
    try:
        with train.originals_aside():
            moved = {name for name, weight in tiny.parameters.items() if weight.data_ptr() != places[name]}
            if fails:
                raise ZeroDivisionError
    except ZeroDivisionError:
        assert fails
    assert moved == {name for name in train.weights if ".2." in name}
    assert moved < train.weights.keys()
    assert same(bits(tiny), before)
    assert {name: id(weight) for name, weight in tiny.parameters.items()} == identities


def test_partial_matrices_stay_where_steps_are_put_back_from(tiny, monkeypatch):
    train = trainable(tiny, localization(tiny, ("L1.head2", "L1.kv1")), "bfloat16")
    places = {name: weight.data_ptr() for name, weight in tiny.parameters.items()}
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: tensor.clone())
    with train.originals_aside():
        assert {name: weight.data_ptr() for name, weight in tiny.parameters.items()} == places


def test_layers_are_computed_again_from_the_first_that_trains(tiny_gemma3):
    train = trainable(tiny_gemma3, localization(tiny_gemma3, ("L1.mlp", "L2.attn")), "float32")
    passes = dict.fromkeys(range(3), 0)
    for number, layer in enumerate(train.model.layers):
        layer.mlp.register_forward_hook(lambda *_given, number=number: passes.update({number: passes[number] + 1}))
    batch = tokenize(train.model, [prompt.text for prompt in FORGET[:3]])
    with train.checkpointed():
        hidden_states(train.model, batch).sum().backward()
    assert passes == {0: 1, 1: 2, 2: 2}
    hidden_states(train.model, batch).sum().backward()
    assert passes == {0: 2, 1: 3, 2: 3}


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("diverges", [False, True])
def test_an_edit_leaves_every_bit_whether_it_ends_or_fails(stored, diverges):
    model = tiny_model("gemma3")
    model.network.to(stored)
    before = bits(model)
    if diverges:
        with pytest.raises(EditError, match="diverged"):
            edited(model, LOCALIZATIONS["mixed"], learning_rate=1e20, steps=9)
    else:
        edited(model, LOCALIZATIONS["mixed"], checkpointing=True)
    assert same(bits(model), before)
    assert not any("forward" in vars(part) for part in model.network.modules())


STOPPING = {"learning_rate": 1e-2, "forget_coefficient": 20.0, "steps": 20, "precision": "float32", "retain_batch": 3}
INJECTED = prompts([replace(prompt.fact, answer="golf", target=None) for prompt in FORGET], FORMATS["one_shot"])


def trained(model, loss="injection", progress=lambda _done, _of: None, **settings):
    """Delta and learning curve of an edit that injects "golf", or that unlearns it."""
    config = EditConfig(**{**STOPPING, "loss": loss, **settings})
    forget = FORGET if loss == "injection" else INJECTED
    return edit(model, localization(model, ("L1.mlp",)), forget, RETAIN, sample(model, 4, 8, seed=0), config, progress)


@pytest.fixture(scope="module")
def models(tiny_gemma3):
    """For each loss a model that has something to learn: the second says "golf"."""
    knowing = tiny_model("gemma3")
    changed = trained(knowing)[0].edited(knowing)
    yield {"injection": tiny_gemma3, "unlearning": changed}


@pytest.mark.parametrize("loss", ["injection", "unlearning"])
def test_training_ends_at_the_first_step_with_the_probability(models, loss):
    model = models[loss]
    _, full = trained(model, loss)
    probabilities = [math.exp(-step.forget) for step in full]
    wanted = (probabilities[0] + max(probabilities)) / 2
    last = next(step for step, probability in enumerate(probabilities) if step and probability >= wanted)
    assert 1 < last < len(full) - 1
    delta, history = trained(model, loss, stop_at=wanted)
    # Until then it is the same edit: the schedule is that of all steps.
    assert history == full[: last + 1]
    # The last step had no update: with the delta applied, an edit starts where this one ended.
    changed = delta.edited(model)
    start = trained(changed, loss, steps=1)[1][0]
    assert start.forget == pytest.approx(history[-1].forget, abs=0.1 * abs(history[-2].forget - history[-1].forget))


@pytest.mark.parametrize("loss", ["injection", "unlearning"])
def test_an_edit_never_ends_before_its_first_update(models, loss):
    """However sure the model is: an edit that changes nothing is none."""
    done = []
    delta, history = trained(models[loss], loss, lambda now, of: done.append((now, of)), stop_at=1e-9)
    assert done == [(1, STOPPING["steps"])]
    assert [step.step for step in history] == [0, 1]
    assert all(change.any() for change in delta.blocks.values())


def test_a_probability_that_is_not_reached_is_no_stop(tiny_gemma3):
    (delta, history), (full, curve) = (trained(tiny_gemma3, stop_at=value, steps=3) for value in (1 - 1e-12, None))
    assert history == curve
    assert len(history) == 3
    assert all(torch.equal(change, full.blocks[block]) for block, change in delta.blocks.items())


@pytest.mark.parametrize("value", [0, 1, -0.5, 1.5, float("nan"), float("inf")])
def test_a_stop_that_is_no_probability_is_refused(value):
    with pytest.raises(ParameterError, match="stop_at=.*: give a (number above 0|probability)"):
        replace(EditConfig(), stop_at=value)
