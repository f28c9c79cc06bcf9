"""Matrices that a family keeps as one or turned, taken apart so that each component has matrices of its own.

The network goes on reading one module in the old place, which computes the same numbers from its parts, and it is
saved as it was: an exported model is an ordinary one of its family. GPT-2's matrices (``Conv1D``) have an input in each row;
their parts, of which there can be one, are linear layers like all others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class Fused:
    """The parts of a fused matrix, in the order of its rows: what each is called and how many rows it has in all.

    ``groups``: the rows of all parts take turns so many times (in some families head by head).
    """

    rows: Mapping[str, int]
    groups: int = 1

    def join(self, parts: Iterable[Float[Tensor, "*batch _"]]) -> Float[Tensor, "*batch _"]:
        """Side by side, in turns."""
        return torch.cat([part.unflatten(-1, (self.groups, -1)) for part in parts], -1).flatten(-2)

    def split(self, whole: Float[Tensor, "*batch _"]) -> list[Tensor]:
        """Inverse of :meth:`join`, in memory of its own: a view would keep the whole."""
        widths = [rows // self.groups for rows in self.rows.values()]
        return [part.flatten(-2).clone() for part in whole.unflatten(-1, (self.groups, -1)).split(widths, -1)]


class Joined(nn.Module):
    """Stands where a fused matrix stood and computes what that computed, from the parts beside it."""

    def __init__(self, parent: nn.Module, fused: Fused, turned: bool) -> None:
        super().__init__()
        # In a tuple it is no child: parts belong to the parent alone and are looked up there, whatever replaces them (an adapter).
        self.parent, self.fused, self.turned = (parent,), fused, turned

    def forward(self, inputs: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        """The outputs of all parts, as the fused matrix had them."""
        return self.fused.join(self.parent[0].get_submodule(part)(inputs) for part in self.fused.rows)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        del keep_vars  # the parts stand before this module: their weights are there, as it says
        beside = prefix[: prefix[:-1].rfind(".") + 1]
        for kind in ("weight", "bias"):
            names = [f"{beside}{part}.{kind}" for part in self.fused.rows]
            if names[0] in destination:
                # The fused axis comes last: so is a turned matrix stored.
                whole = self.fused.join(destination.pop(name).movedim(0, -1) for name in names)
                destination[prefix + kind] = whole if self.turned else whole.movedim(-1, 0)


def take_apart(layers: Iterable[nn.Module], fused: Mapping[str, Fused]) -> None:
    """Replace the fused matrices of decoder layers, by their names within one, by parts beside them; doing it again changes nothing."""
    for layer in layers:
        for name, parts in fused.items():
            place, _, leaf = name.rpartition(".")
            parent = layer.get_submodule(place)
            whole: Any = parent.get_submodule(leaf)
            if not isinstance(whole, Joined):
                turned = not isinstance(whole, nn.Linear)
                delattr(parent, leaf)
                for part, linear in zip(parts.rows, _linears(whole, parts, turned), strict=True):
                    parent.add_module(part, linear)
                parent.add_module(leaf, Joined(parent, parts, turned))


def _linears(whole: Any, fused: Fused, turned: bool) -> Sequence[nn.Linear]:
    outputs_last = whole.weight.detach() if turned else whole.weight.detach().movedim(0, -1)
    weights = [part.movedim(-1, 0).contiguous() for part in fused.split(outputs_last)]
    has_bias: bool = whole.bias is not None
    linears = [nn.Linear(weight.shape[1], weight.shape[0], bias=has_bias, device="meta") for weight in weights]
    for linear, weight in zip(linears, weights, strict=True):
        linear.weight = nn.Parameter(weight)
    if has_bias:
        for linear, bias in zip(linears, fused.split(whole.bias.detach()), strict=True):
            linear.bias = nn.Parameter(bias)
    return linears
