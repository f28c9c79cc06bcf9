"""Where components write: read or replace their outputs in the plain network.

The one place that knows what a family adds to the residual stream. Gemma-2 and Gemma-3 norm the
outputs of attention and MLP before they are added: the normed output is what counts here. A head is
its slice of the output projection's input.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

from torch import Tensor, nn

from mechlib.components import Architecture, Component, ComponentError
from mechlib.models.language_model import LanguageModel

# A layer's heads share one tensor [text, position, heads * d_head]; attention and MLP write [text, position, d_model].
Place = tuple[int, Literal["heads", "attn", "mlp"]]


def place(component: Component) -> Place:
    """The tensor in which a component's output lies; raises :class:`ComponentError` for keys, values and neurons."""
    if component.kind in ("kv", "neuron"):
        raise ComponentError(f"{component} has weights but no output of its own: score its layer's heads or MLP")
    return component.layer, "heads" if component.kind == "head" else component.kind


def columns(component: Component, arch: Architecture) -> slice:
    """The last axis' part of that tensor which is the component's own."""
    if component.index is None:
        return slice(None)
    return slice(component.index * arch.d_head, (component.index + 1) * arch.d_head)


@contextmanager
def hooks(model: LanguageModel, at: Mapping[Place, Callable[[Tensor], Tensor | None]]) -> Generator[None]:
    """Hand each place's tensor to its function; what the function returns, unless ``None``, goes on in its stead."""
    with ExitStack() as stack:
        for (layer, part), function in at.items():
            handle = _register(_module(model, layer, part), part, function)
            stack.callback(handle.remove)
        yield


def _register(module: Any, part: str, function: Callable[[Tensor], Tensor | None]) -> Any:
    if part != "heads":
        return module.register_forward_hook(lambda _module, _inputs, output: function(output))

    def before(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor] | None:
        changed = function(inputs[0])
        return None if changed is None else (changed,)

    return module.register_forward_pre_hook(before)


def _module(model: LanguageModel, layer: int, part: str) -> nn.Module:
    block = model.layers[layer]
    # Llama, too, has a post_attention_layernorm, but it is the norm before the MLP.
    norms_outputs = hasattr(block, "pre_feedforward_layernorm")
    if part == "mlp":
        return block.post_feedforward_layernorm if norms_outputs else block.mlp
    return block.post_attention_layernorm if norms_outputs and part == "attn" else block.self_attn.o_proj
