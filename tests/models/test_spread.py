"""A model whose layers lie on several devices: a layer has its inputs where its weights are, whatever is outside is on the first.

No computer of a test has several cards. Fake tensors have a device that they are said to be on, and refuse to be mixed; they
have no values.
"""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from jaxtyping import TypeCheckError
from tiny_models import FAMILIES, tiny_model
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode, ShapeEnv

from mechlib.attacks.attack import Knowledge
from mechlib.attacks.direction import direction_removal
from mechlib.components import Component
from mechlib.edit.delta import Delta
from mechlib.evals.answers import answer_prompts
from mechlib.evals.head_projection import head_projection
from mechlib.facts import FORMATS, athletes, prompt
from mechlib.models.forward import answer_logits, hidden_states, option_logits, residual_stream, tokenize
from mechlib.models.hooks import hooks
from mechlib.models.spread import cards, cards_of, enough, on_processor, shares, spread, weight_bytes
from mechlib.patching import sweep, weights
from mechlib.patching.activation import activation_patching
from mechlib.patching.attribution import attribution_patching
from mechlib.patching.path import direct_effects, effects_on_stream
from mechlib.patching.scores import Scores

PLACES = [torch.device("cpu"), *(torch.device("cpu", number) for number in (1, 2, 3))]
PROMPTS = [prompt(fact, FORMATS["one_shot"]) for fact in list(athletes())[:2]]


def test_as_many_cards_as_weights_need_and_room_is_left_on_each():
    assert enough(64, [80, 80, 80]) == 1 and enough(65, [80, 80, 80]) == 2
    assert enough(140, [80] * 8) == 3  # 47 a card
    assert enough(100, [80, 10, 80]) == 3  # the second could not take its half; of all three nothing is enough
    assert enough(10, [80, 1]) == 1
    assert cards(torch.device("cpu"), 10**15) == [torch.device("cpu")]


def test_each_device_has_about_as_many_bytes_in_the_layers_order():
    assert shares([10] * 8, 80, 2) == [0, 0, 0, 0, 1, 1, 1, 1]
    assert shares([10] * 6, 80, 2) == [0, 0, 1, 1, 1, 1]  # what is no layer is on the first
    assert shares([10] * 3, 90, 3) == [2, 2, 2]
    assert shares([10, 20, 30], 60, 1) == [0, 0, 0]


def test_the_same_weights_give_the_same_numbers_and_the_model_itself_stays(tiny):
    twin = spread(tiny, [torch.device("cpu")] * 3)
    packed = tokenize(tiny, [each.text for each in PROMPTS])
    assert torch.equal(answer_logits(twin, packed), answer_logits(tiny, packed))
    assert weight_bytes(twin.network) == weight_bytes(tiny.network)
    assert not any(layer._forward_pre_hooks for layer in tiny.layers) and all(layer._forward_pre_hooks for layer in twin.layers)


def test_weights_wait_in_the_computer_s_memory_and_come_back(tiny_gemma3, monkeypatch):
    """A copy stands for the way there."""
    places = {name: weight.data_ptr() for name, weight in tiny_gemma3.parameters.items()}
    before = {name: weight.clone() for name, weight in tiny_gemma3.parameters.items()}
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: tensor.clone())
    with pytest.raises(ZeroDivisionError), on_processor(tiny_gemma3):
        assert all(weight.data_ptr() != places[name] for name, weight in tiny_gemma3.parameters.items())
        raise ZeroDivisionError
    assert all(torch.equal(weight, before[name]) for name, weight in tiny_gemma3.parameters.items())


def test_a_model_has_its_own_cards_and_as_many_others_as_are_asked_for(monkeypatch):
    model = tiny_model("llama").shared_copy()
    assert cards_of(model) == cards_of(model, 4) == PLACES[:1]
    network = SimpleNamespace(parameters=lambda: (SimpleNamespace(device=torch.device("cuda", number)) for number in (1, 2, 1)))
    model = replace(model, network=network)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 4)
    assert [card.index for card in cards_of(model)] == [1, 2]
    assert [card.index for card in cards_of(model, 3)] == [1, 2, 0]
    assert [card.index for card in cards_of(model, 9)] == [1, 2, 0, 3]


@pytest.fixture(params=list(FAMILIES))
def fake(request):
    """A model of fake tensors on four devices, of which several have layers."""
    inner = {"n_inner": 1024} if request.param == "gpt2" else {"intermediate_size": 1024}
    model = tiny_model(request.param, num_hidden_layers=6, **inner)
    with FakeTensorMode(shape_env=ShapeEnv(), allow_non_fake_inputs=True) as mode:
        model = model.shared_copy()
        made = {}
        for module in model.network.modules():
            for name, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
                new = mode.from_tensor(tensor.detach())
                new = nn.Parameter(new, requires_grad=False) if isinstance(tensor, nn.Parameter) else new
                setattr(module, name, made.setdefault(id(tensor), new))
        yield spread(model, PLACES)


def places(model):
    return [next(layer.parameters()).device for layer in model.layers]


def test_every_layer_computes_where_its_weights_are_and_the_rest_is_on_the_first(fake):
    assert places(fake) == sorted(places(fake), key=PLACES.index) and len(set(places(fake))) > 2
    assert fake.device == PLACES[0] == fake.final_norm.weight.device == fake.network.get_output_embeddings().weight.device
    seen = []
    for layer in fake.layers:
        layer.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].device))
    packed = tokenize(fake, [each.text for each in PROMPTS])
    hidden = hidden_states(fake, packed)
    assert seen == places(fake)
    first, later = residual_stream(fake, packed, [0, 5])
    options = torch.zeros(len(PROMPTS), 2, dtype=torch.long, device=fake.device)
    some = hidden.flatten(0, 1)[packed.ends]
    everything = [hidden, first.stream, later.stream, answer_logits(fake, packed, later), option_logits(fake, some, options)]
    assert {tensor.device for tensor in everything} == {PLACES[0]}
    kept = {}
    with hooks(fake, {(5, part): lambda tensor, part=part: kept.update({part: tensor.device}) for part in ("heads", "attn", "mlp")}):
        hidden_states(fake, packed)
    assert kept == dict.fromkeys(("heads", "attn", "mlp"), PLACES[0])


def test_without_the_moves_devices_would_be_mixed(fake):
    for layer in fake.layers:
        layer._forward_pre_hooks.clear()
        layer._forward_pre_hooks_with_kwargs.clear()
    with pytest.raises(Exception, match="found at least two devices, cpu"):
        hidden_states(fake, tokenize(fake, [each.text for each in PROMPTS]))


@pytest.mark.parametrize("method", [
    activation_patching,
    attribution_patching,
    lambda *given: attribution_patching(*given, slope="relevance", integration_steps=2),
    direct_effects,
    lambda *given: effects_on_stream(*given, receiver=4),
])  # fmt: skip
@pytest.mark.parametrize("fake", ["llama", "gemma3"], indirect=True)
def test_localization_mixes_no_devices(fake, method, monkeypatch):
    found = []
    monkeypatch.setattr(sweep, "_scores", lambda name, effects, *_rest: found.extend(effects) or Scores(name, {}, 0.0, 0.0))
    method(fake, PROMPTS)
    (effects,) = found
    assert effects.values.shape == (len(effects.components), len(PROMPTS))
    assert {effects.values.device, effects.base.device, effects.source.device} == {PLACES[0]}


@pytest.mark.parametrize("fake", ["llama", "phi3"], indirect=True)
def test_sums_over_weights_of_all_devices_come_together(fake, monkeypatch):
    kept, own = [], weights._sums
    monkeypatch.setattr(weights, "_sums", lambda *given: kept.append(own(*given)) or kept[-1])
    with pytest.raises(TypeCheckError):  # fake tensors have no numbers to make scores of
        weights.gradient_times_weight(fake, PROMPTS)
    assert {sums.device for sums in kept} == {PLACES[0]} and len(kept) == len(PROMPTS)
    assert len(kept[0]) == 6 * (4 + 1) + 6 * fake.architecture.n_key_value_heads


@pytest.mark.parametrize("evaluate", [
    lambda model: answer_prompts(model, PROMPTS),
    lambda model: answer_prompts(_edited(model), PROMPTS, whole=False),
    lambda model: head_projection(model, PROMPTS),
    lambda model: list(direction_removal(_edited(model), Knowledge(PROMPTS, (), (), model), 0)),
])  # fmt: skip
@pytest.mark.parametrize("fake", ["llama"], indirect=True)
def test_evaluation_mixes_no_devices_until_it_reads_a_number(fake, evaluate):
    # Fake tensors have none: that is as far as it gets.
    with pytest.raises(GuardOnDataDependentSymNode):
        evaluate(fake)


def _edited(model):
    blocks = Component(model.architecture.n_layers - 1, "mlp").weights(model.architecture)
    delta = Delta.__new__(Delta)  # one of fake tensors cannot be checked
    vars(delta).update(blocks={block: torch.ones(block.shape) for block in blocks})
    return delta.edited(model)
