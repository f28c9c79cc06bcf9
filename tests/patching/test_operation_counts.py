"""The work of scoring is the same few large operations however many heads there are, and a device is rarely waited for."""

from functools import partial

import pytest
import torch
from brute_force import PROMPTS
from counting import Operations
from tiny_models import tiny_model

from mechlib.components import heads_and_mlps
from mechlib.patching.activation import activation_patching
from mechlib.patching.attribution import attribution_patching
from mechlib.patching.faithfulness import faithfulness
from mechlib.patching.path import direct_effects, effects_on_stream
from mechlib.patching.weights import gradient_times_weight

METHODS = {
    "attribution patching": partial(attribution_patching, corruption="tokens", direction="noise"),
    "attribution patching, inputs": partial(attribution_patching, inputs=True, corruption="tokens", direction="noise"),
    "integrated gradients": partial(attribution_patching, corruption="noise", integration_steps=3),
    "relevance patching": partial(attribution_patching, corruption="tokens", direction="noise", slope="relevance"),
    "activation patching": partial(activation_patching, corruption="tokens"),
    "by position": partial(activation_patching, corruption="noise", by_position=True),
    "direct effects": direct_effects,
    "effects on the stream": partial(effects_on_stream, receiver=2),
    "gradient x weight": gradient_times_weight,
}


def counted(method, prompts=PROMPTS, *, heads=4, layers=3):
    model = tiny_model("llama", num_attention_heads=heads, num_key_value_heads=heads // 2, num_hidden_layers=layers)
    with Operations() as asked:
        method(model, prompts)
    return asked


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_heads_add_no_operation(method):
    counts = [counted(method, heads=heads).count for heads in (2, 4, 8)]
    # One group of keys and values is no dimension of its own: attention then needs fewer operations, never more.
    assert counts[0] <= counts[1] == counts[2] > 100


@pytest.mark.parametrize("method", [method for name, method in METHODS.items() if name != "gradient x weight"], ids=lambda each: None)
def test_prompts_of_one_batch_add_few_operations(method):
    """At most drawing and joining what corrupts each: no forward pass, no part of a layer."""
    two, four = counted(method, PROMPTS[:2]), counted(method, PROMPTS)
    assert four.count - two.count <= 8 * 2


def test_estimates_take_the_same_operations_in_every_layer():
    two, three, four = (counted(METHODS["attribution patching"], layers=layers).count for layers in (2, 3, 4))
    assert four - three == three - two > 0


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_device_is_waited_for_as_often_whatever_the_sizes(method):
    some = counted(method)
    assert some.waits == counted(method, heads=8).waits == counted(method, layers=5).waits
    assert some.waits <= 12


def test_circuits_are_waited_for_once():
    def every(model, prompts):
        ranking = heads_and_mlps(model.architecture)
        faithfulness(model, prompts, [("all", True, ranking)], seed=0)

    assert counted(every).waits == counted(every, heads=8, layers=4).waits <= 3


def test_what_is_counted():
    """Else the numbers above would prove nothing."""
    values = torch.arange(4.0)
    asks = {"tolist": lambda: values.tolist(), "item": lambda: values[0].item(),
            "truth": lambda: bool((values > 1).all()), "mask": lambda: values[values > 1],
            "unique": lambda: values.unique()}  # fmt: skip
    for name, ask in asks.items():
        with Operations() as asked:
            ask()
        assert (name, asked.waits) == (name, 1)
    with Operations() as asked:
        values[torch.tensor([1, 2])] + 1
    assert asked.waits == 0 and asked.by_name["add"] == 1
