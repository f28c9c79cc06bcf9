"""A model larger than one card: its layers lie on several, in their order.

Embeddings, final norm and unembedding are on the first, and so is whatever is outside a layer: a layer takes its inputs to its own
weights, and what is read inside it comes back to the first. Cards work one after the other: it is memory that they add, not speed.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any

import torch
from torch import nn

from mechlib.models.language_model import LanguageModel
from mechlib.models.tensors import replace_tensors

# The part of a card's free memory that weights may take: the rest is for what is computed with them.
_FOR_WEIGHTS = 0.8


def enough(size: int, free: Sequence[int]) -> int:
    """How many cards hold equal shares of ``size`` bytes of weights; all of them, if even they do not.

    ``free``: bytes that each card has left, the first one first.
    """
    fits = (count for count in range(1, len(free) + 1) if size / count <= _FOR_WEIGHTS * min(free[:count]))
    return next(fits, len(free))


def cards(first: torch.device, size: int) -> list[torch.device]:
    """The accelerator ``first``, and as many others of its kind as weights of so many bytes need."""
    if first.type == "cpu" or torch.accelerator.device_count() < 2:
        return [first]
    numbers = range(torch.accelerator.device_count())
    count = enough(size, [torch.accelerator.get_memory_info(number)[0] for number in numbers])
    return [torch.device(first.type, number) for number in numbers[:count]] if count > 1 else [first]


def cards_of(model: LanguageModel, least: int = 1) -> list[torch.device]:
    """The devices that a model's weights are on, and other cards of this computer until there are ``least``, if it has so many."""
    own = list(dict.fromkeys(weight.device for weight in model.network.parameters()))
    others = [torch.device(own[0].type, number) for number in range(torch.accelerator.device_count())]
    return [*own, *(card for card in others if card not in own)][: max(least, len(own))]


def spread(model: LanguageModel, devices: Sequence[torch.device]) -> LanguageModel:
    """A copy whose weights are on these devices, each with whole layers and about as many bytes of them as any other."""
    twin, layer_of = model.shared_copy(), dict[int, int]()
    for number, layer in enumerate(model.layers):
        layer_of.update({id(tensor): number for tensor in (*layer.parameters(), *layer.buffers())})
    where = [devices[share] for share in shares([weight_bytes(layer) for layer in model.layers], weight_bytes(model.network), len(devices))]
    replace_tensors(twin.network, lambda tensor: tensor.to(where[layer_of[id(tensor)]] if id(tensor) in layer_of else devices[0]))
    for module in (*twin.layers, twin.final_norm):
        module.register_forward_pre_hook(_bring, with_kwargs=True)
    return twin


def shares(layers: Sequence[int], size: int, count: int) -> list[int]:
    """On which of ``count`` devices each layer is, from the layers' bytes and the whole network's; what is no layer is on the first."""
    ends = [size - sum(layers) + end for end in accumulate(layers)]
    return [int(count * (end - own / 2) / size) for end, own in zip(ends, layers, strict=True)]


def weight_bytes(module: nn.Module) -> int:
    """Bytes of all weights of a network or of a part of it, tied ones once."""
    return sum(weight.nbytes for weight in module.parameters())


@contextmanager
def on_processor(model: LanguageModel) -> Generator[None]:
    """Within the block all weights are in the computer's memory, and the cards free for others; then each is back where it was."""
    places = {tensor: tensor.device for tensor in (*model.network.parameters(), *model.network.buffers())}
    try:
        for tensor in places:
            tensor.data = tensor.data.cpu()
        if torch.accelerator.is_available():
            torch.accelerator.empty_cache()
        yield
    finally:
        for tensor, device in places.items():
            tensor.data = tensor.data.to(device)


def _bring(module: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, Any]:
    device = next(module.parameters()).device
    return _moved(inputs, device), _moved(options, device)


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {name: _moved(one, device) for name, one in value.items()}
    return tuple(_moved(one, device) for one in value) if isinstance(value, tuple) else value
