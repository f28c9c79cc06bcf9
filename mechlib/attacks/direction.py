"""Does an edit only hide what the model knows behind one direction of its residual stream? Then removing it brings it back.

Lucki et al. (2024) find that some unlearned models differ from the original by little more than a
direction, the difference of their mean activations, and undo the unlearning by projecting it out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.attacks.attack import Attack, Attacked, Knowledge
from mechlib.components import ComponentError
from mechlib.facts import FactError, Prompt
from mechlib.models.forward import hidden_at, tokenize
from mechlib.models.language_model import LanguageModel
from mechlib.models.packed import Packed
from mechlib.models.table import ModelError

_THIRDS = ("early", "middle", "late")
# Means that differ by less than this part of their length differ by rounding: that is no direction.
_ROUNDING = 1e-5


def direction_removal(model: LanguageModel, knowledge: Knowledge, seed: int, *, layers: str = "all") -> Iterator[Attacked]:
    """The model without its layers' :func:`directions` over ``knowledge.relearn``: a copy, ``model`` is only read.

    ``layers``: "all", or the "early", "middle" or "late" third, whose outputs lose their direction at
    every token but the first. There attention rests, with activations that can be orders of magnitude
    above all others (Sun et al. 2024): after the same token every time they hold no fact, and a model
    that lost them would break, edited or not. Raises :class:`ComponentError` for other ``layers``,
    :class:`mechlib.facts.FactError` without facts, and :class:`ModelError` if the original is another kind of model, or multiplies in
    another precision.
    """
    del seed  # nothing is drawn
    if layers not in ("all", *_THIRDS):
        raise ComponentError(f"there are no '{layers}' layers (choose all, {', '.join(_THIRDS)})")
    if not knowledge.relearn:
        raise FactError("there are no facts to find a direction on")
    if model.architecture != knowledge.original.architecture:
        raise ModelError(f"{knowledge.original.name} has other sizes than {model.name}: give the model that was edited as the original")
    if model.arithmetic != knowledge.original.arithmetic:
        theirs = knowledge.original.arithmetic
        raise ModelError(f"{model.name} multiplies in {model.arithmetic} and the original in {theirs}: the two differ by rounding "
                         "everywhere; give both in one precision")  # fmt: skip
    found = directions(model, knowledge.original, knowledge.relearn)
    yield Attacked(layers, 0, _without(model, found, _chosen(layers, len(found))))


@torch.no_grad()
def directions(edited: LanguageModel, original: LanguageModel, prompts: Sequence[Prompt]) -> Float[Tensor, "layer d_model"]:
    """The unit direction in which each layer's mean output at the last token differs between two models.

    Zero where it does not differ: at all layers below the edit.
    """
    packed = tokenize(edited, [prompt.text for prompt in prompts])
    after, before = (_outputs(model, packed).mean(1) for model in (edited, original))
    difference = after - before
    length, whole = (torch.linalg.vector_norm(vectors, dim=-1, keepdim=True) for vectors in (difference, before))
    return torch.where(length > _ROUNDING * whole, difference / length, 0.0)


def _chosen(layers: str, count: int) -> range:
    if layers == "all":
        return range(count)
    third = _THIRDS.index(layers)
    return range(third * count // 3, (third + 1) * count // 3)


def _outputs(model: LanguageModel, packed: Packed) -> Float[Tensor, "layer text d_model"]:
    """What every decoder layer hands on at each text's last token."""
    caught: list[Tensor] = []

    def catch(_module: Any, _inputs: Any, output: Tensor) -> None:
        caught.append(output.to(packed.ends.device).flatten(0, 1)[packed.ends].float())

    with ExitStack() as stack:
        for layer in model.layers:
            stack.callback(layer.register_forward_hook(catch).remove)
        hidden_at(model, packed, packed.ends)
    return torch.stack(caught)


def _without(model: LanguageModel, found: Float[Tensor, "layer d_model"], layers: Sequence[int]) -> LanguageModel:
    """A copy of the model, with the very same weights, that loses the directions of some layers."""
    twin = model.shared_copy()
    for layer in layers:
        if found[layer].any():
            twin.layers[layer].register_forward_hook(_projecting_out(found[layer]), with_kwargs=True)
    return twin


def _projecting_out(direction: Float[Tensor, " d_model"]) -> Any:
    def hook(_module: Any, _inputs: Any, options: dict[str, Any], output: Tensor) -> Tensor:
        # Several texts lie in a row: only a token's position tells which is the first.
        own = direction.to(output.device)
        along = (output.float() @ own) * (options["position_ids"] > 0)
        return output - (along[..., None] * own).to(output.dtype)

    return hook


DIRECTION = Attack(
    "direction", "Direction removal", 2, direction_removal,
    "The mean difference between the edited and the unedited stream, taken on one half of the forget set, is projected out of "
    "every layer; asked about the other half.",
    {"quick": {"layers": "all"}, "full": {"layers": "all"}},
    folds=True, seconds=2,
)  # fmt: skip
