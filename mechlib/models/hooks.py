"""Read or replace what components write, and what they read, in the plain network.

Where a family norms the outputs of attention and MLP before they are added to the residual stream,
the normed output is what counts. A head is its slice of the output projection's input. What an MLP
reads is the residual stream before its norm: a function that replaces it changes nothing for the rest of the layer.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, get_args

import torch
from torch import Tensor, nn

from mechlib.models.families import Input, Output
from mechlib.models.language_model import LanguageModel
from mechlib.models.table import ModelError

# A layer's heads share one tensor [row, node, heads * d_head]; attention and MLP write [row, node, d_model], and an MLP reads that.
# Queries are [row, node, heads * d_head], keys and values [row, node, groups * d_head], before positions are rotated into them.
Part = Output | Input
Place = tuple[int, Part]
_PARTS: tuple[Part, ...] = (*get_args(Output), *get_args(Input))


@contextmanager
def hooks(model: LanguageModel, at: Mapping[Place, Callable[[Tensor], Tensor | None]]) -> Generator[None]:
    """Within the block, each place's tensor is passed to its function. What that returns replaces it; ``None`` keeps it.

    Wherever the layer's weights are, a function sees its tensor on the model's device.

    Raises :class:`ModelError` for a place that the model lacks.
    """
    for layer, output in at:
        if not 0 <= layer < len(model.layers) or output not in _PARTS:
            raise ModelError(f"{model.name} has no place ({layer}, {output!r}): layers are 0 to {len(model.layers) - 1}, outputs "
                             f"{', '.join(_PARTS)}")  # fmt: skip
    with ExitStack() as stack:
        for (layer, output), function in at.items():
            stack.callback(_register(model, layer, output, partial(_on, model.device, function)).remove)
        yield


def _on(device: torch.device, function: Callable[[Tensor], Tensor | None], tensor: Tensor) -> Tensor | None:
    moved = tensor.to(device)
    changed = function(moved)
    if moved is tensor:
        return changed
    # What the function has seen goes on, so that gradients flow through it.
    return (moved if changed is None else changed).to(tensor.device)


def _register(model: LanguageModel, layer: int, part: Part, function: Callable[[Tensor], Tensor | None]) -> Any:
    family, block = model.family, model.layers[layer]

    def before(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor] | None:
        changed = function(inputs[0])
        return None if changed is None else (changed,)

    def after(_module: nn.Module, _inputs: tuple[Tensor, ...], written: Tensor) -> Tensor | None:
        return function(written)

    match part:
        case "heads":
            return family.reader_of_heads(block).register_forward_pre_hook(before)
        case "mlp_in":
            return family.input_of(block, part).register_forward_pre_hook(before)
        case "attn" | "mlp":
            return family.writer(block, part).register_forward_hook(after)
        case _:
            return family.input_of(block, part).register_forward_hook(after)
