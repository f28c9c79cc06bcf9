"""The forward pass that everything shares, and where its speed comes from.

1. Logits only where an answer is read.
2. What texts begin with in common is computed once: they are packed as trees (:mod:`mechlib.models.packed`).
3. Nothing below a given layer is computed again: an :class:`Entry` keeps the residual stream there.
4. The last layer's output projection and MLP compute only the nodes that are read.

All four are exact, forwards and backwards.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.models.language_model import LanguageModel
from mechlib.models.packed import Packed, pack
from mechlib.models.precision import computing
from mechlib.models.table import ModelError
from mechlib.models.tokens import encode


@dataclass(frozen=True)
class Entry:
    """The residual stream of packed texts right before ``layer``."""

    layer: int
    stream: Float[Tensor, "row node d_model"]

    def at(self, nodes: Int[Tensor, "*some"]) -> Float[Tensor, "*some d_model"]:
        """The stream at some nodes, numbered row after row."""
        return self.stream.flatten(0, 1)[nodes]

    def repeated(self, times: int) -> Entry:
        """All rows ``times`` times, as :meth:`Packed.repeated` has them."""
        return Entry(self.layer, self.stream.repeat(times, 1, 1))


def tokenize(model: LanguageModel, texts: Sequence[str]) -> Packed:
    """Texts packed together, each as :func:`mechlib.models.tokens.encode` begins it."""
    return pack(model, encode(model, texts))


def hidden_states(
    model: LanguageModel, packed: Packed, entry: Entry | None = None, hooks: AbstractContextManager[Any] | None = None
) -> Float[Tensor, "row node d_model"]:
    """Final hidden states (after the last norm) at all nodes; ``entry``, if given, is where the pass starts."""
    masks = model.family.masks(model.config, packed.visible, packed.positions, partial(_mask, model))
    with computing(model, model.arithmetic), hooks or nullcontext(), entering(model, entry):
        output = model.network.base_model(
            input_ids=packed.tokens, position_ids=packed.positions, attention_mask=masks, use_cache=False
        )
    return output.last_hidden_state


def _mask(model: LanguageModel, visible: Tensor) -> Tensor:
    """In the form that the network's attention reads."""
    if model.config._attn_implementation == "sdpa":
        return visible[:, None]
    nothing = torch.zeros(visible.shape, device=visible.device, dtype=torch.float32)
    return nothing.masked_fill(~visible, torch.finfo(torch.float32).min)[:, None]


def hidden_at(
    model: LanguageModel,
    packed: Packed,
    nodes: Int[Tensor, " read"],
    entry: Entry | None = None,
    hooks: AbstractContextManager[Any] | None = None,
    distinct: Int[Tensor, " distinct"] | None = None,
) -> Float[Tensor, "read d_model"]:
    """Final hidden states (after the last norm) at some nodes; outputs that no other node needs are not computed.

    ``distinct``: ``nodes.unique()``, for whoever reads the same nodes many times: an accelerator waits for every such question.
    """
    read, width = nodes.unique() if distinct is None else distinct, packed.tokens.shape[1]
    with ending(model, read // width, read % width):
        return hidden_states(model, packed, entry, hooks).flatten(0, 1)[nodes]


def answer_logits(
    model: LanguageModel, packed: Packed, entry: Entry | None = None, hooks: AbstractContextManager[Any] | None = None
) -> Float[Tensor, "text vocabulary"]:
    """Logits of the token that follows each text."""
    return unembed(model, hidden_at(model, packed, packed.ends, entry, hooks))


def unembed(model: LanguageModel, hidden: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch vocabulary"]:
    """Logits in float32 of final hidden states, with the family's soft cap."""
    unembedding = model.network.get_output_embeddings()
    return _soft_capped(model, unembedding(hidden.to(unembedding.weight.dtype)).float())


def option_logits(
    model: LanguageModel, hidden: Float[Tensor, "text d_model"], options: Int[Tensor, "text option"]
) -> Float[Tensor, "text option"]:
    """Logits in float32 of each text's own few tokens: the unembedding is most of a small model's work."""
    rows = model.network.get_output_embeddings().weight[options].float()
    return _soft_capped(model, (rows * hidden.float()[:, None]).sum(-1))


def _soft_capped(model: LanguageModel, logits: Tensor) -> Tensor:
    cap = model.family.cap(model.config)
    return logits if cap is None else cap * torch.tanh(logits / cap)


@torch.no_grad()
def residual_stream(model: LanguageModel, packed: Packed, layers: Sequence[int], entry: Entry | None = None) -> tuple[Entry, ...]:
    """The residual stream right before each of ``layers``, from one forward pass that ends at the last of them.

    Raises :class:`ModelError` for a layer that the model lacks, or none.
    """
    depth = model.architecture.n_layers
    if not layers or not 0 <= min(layers) <= max(layers) < depth:
        raise ModelError(f"layers of {model.name} are 0 to {depth - 1}, not {', '.join(map(str, layers)) or 'none'}")
    caught: dict[int, Tensor] = {}

    def catcher(layer: int) -> Any:
        return lambda _module, arguments: caught.update({layer: arguments[0].detach().to(model.device)})

    with ExitStack() as stack:
        for layer in layers:
            stack.callback(model.layers[layer].register_forward_pre_hook(catcher(layer)).remove)
        with passing(model.layers[max(layers) :]):
            hidden_states(model, packed, entry)
    return tuple(Entry(layer, caught[layer]) for layer in layers)


def enter(model: LanguageModel, packed: Packed, layer: int) -> Entry:
    """Compute the residual stream right before ``layer``, once, to start from it many times."""
    return residual_stream(model, packed, [layer])[0]


@contextmanager
def entering(model: LanguageModel, entry: Entry | None) -> Generator[None]:
    """Within the block, ``entry.layer`` starts from the stream of ``entry``; the layers below it compute nothing."""
    if entry is None:
        yield
        return
    stream = entry.stream
    # Before any other hook: whoever watches this layer must see the stream that really enters it.
    handle = model.layers[entry.layer].register_forward_pre_hook(lambda _module, arguments: (stream, *arguments[1:]), prepend=True)
    try:
        with passing(model.layers[: entry.layer]):
            yield
    finally:
        handle.remove()


@contextmanager
def ending(model: LanguageModel, rows: Int[Tensor, " read"], nodes: Int[Tensor, " read"]) -> Generator[None]:
    """Within the block, the last layer's output projection and MLP compute only these places, no two of them alike.

    Their outputs are zero elsewhere, where nothing may read them. A layer that computes again in the
    backward pass, after the block, computes all places.
    """
    layer = model.layers[-1]
    with ExitStack() as stack:
        if "forward" not in vars(layer):
            for module in model.family.last_products(layer):
                stack.enter_context(_replaced(module, partial(_at, rows, nodes, module.forward)))
        yield


def _at(rows: Tensor, nodes: Tensor, compute: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    rows, nodes = rows.to(inputs.device), nodes.to(inputs.device)
    outputs = compute(inputs[rows, nodes][:, None])
    return outputs.new_zeros(*inputs.shape[:-1], outputs.shape[-1]).index_put((rows, nodes), outputs[:, 0])


@contextmanager
def _replaced(module: Any, forward: Callable[[Tensor], Tensor]) -> Generator[None]:
    own = vars(module).get("forward")
    vars(module)["forward"] = forward
    try:
        yield
    finally:
        del vars(module)["forward"]
        vars(module).update({} if own is None else {"forward": own})


@contextmanager
def passing(layers: Iterable[Any]) -> Generator[None]:
    """Within the block, these layers return their input and compute nothing."""
    modules = list(layers)
    for module in modules:
        vars(module)["forward"] = _pass_on  # a bridged block forwards plain assignment to what it wraps
    try:
        yield
    finally:
        for module in modules:
            del vars(module)["forward"]


def _pass_on(hidden: Tensor, *_arguments: Any, **_options: Any) -> Tensor:
    return hidden
