"""A delta: the change an edit makes, as a value. The model is left as it was."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mechlib import checks
from mechlib.components import WeightSlice
from mechlib.errors import MechlibError
from mechlib.models.language_model import LanguageModel

# What a stored delta is called.
FILE = "delta.safetensors"


class EditError(MechlibError, RuntimeError):
    """An edit that failed, changed nothing, or does not fit the model."""


@dataclass(frozen=True, eq=False)
class Delta:
    """Changes of weight blocks, to be added. ``provenance`` says what made them.

    Raises :class:`EditError` for a change that is not finite or no tensor of its block's shape, and if nothing changes.
    """

    blocks: Mapping[WeightSlice, Tensor]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for block, change in self.blocks.items():
            first, last, left, right = block.bounds
            if not checks.is_a(change, Tensor) or change.shape != (last - first, right - left):
                raise EditError(f"the change of {block.parameter} is no tensor of {last - first} x {right - left}, the shape of its block")
        for block, norm in self._norms.items():
            if not math.isfinite(norm):
                raise EditError(f"the edit diverged: {block.parameter} is not finite; lower LEARNING_RATE")
        if not self.norm:
            raise EditError("the edit changed no weight: raise LEARNING_RATE or STEPS, or check the localization")

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Delta)
            and self.blocks.keys() == other.blocks.keys()
            and all(torch.equal(change, other.blocks[block]) for block, change in self.blocks.items())
        )

    @cached_property
    def norm(self) -> float:
        """Euclidean norm of the whole change."""
        return math.hypot(*self._norms.values())

    @cached_property
    def _norms(self) -> dict[WeightSlice, float]:
        return {block: torch.linalg.vector_norm(change, dtype=torch.float64).item() for block, change in self.blocks.items()}

    @property
    def size(self) -> int:
        """How many weights may differ."""
        return sum(block.size for block in self.blocks)

    def at_norm(self, norm: float) -> Delta:
        """The same change, so many times as large that its Euclidean norm is ``norm``, which must be above 0."""
        factor = checks.positive("norm", norm) / self.norm
        return Delta({block: change * factor for block, change in self.blocks.items()}, {**self.provenance, "rescaled by": factor})

    def edited(self, model: LanguageModel) -> LanguageModel:
        """The edited model: a network of its own that shares every weight but the changed matrices. ``model`` stays as it is.

        Raises :class:`EditError` if the model lacks a block's matrix or has another shape of it.
        """
        parameters = model.parameters
        for block in self.blocks:
            if block.parameter not in parameters or tuple(parameters[block.parameter].shape) != block.shape:
                raise EditError(f"the delta was made for another model: {model.name} has no {block.parameter} of shape {block.shape}")
        weights = {name: parameters[name].detach().clone() for name in {block.parameter for block in self.blocks}}
        for block, change in self.blocks.items():
            weights[block.parameter][block.index].add_(change.to(weights[block.parameter].device))
        twin = model.shared_copy()
        for name, weight in weights.items():
            twin.module(name).weight = nn.Parameter(weight, requires_grad=False)
        return twin

    def save(self, path: Path) -> None:
        """Write as safetensors, with the blocks' places and the provenance in its header."""
        names = {f"{number:04d}": block for number, block in enumerate(self.blocks)}
        header = {
            "blocks": json.dumps({name: asdict(block) for name, block in names.items()}),
            "provenance": json.dumps(dict(self.provenance)),
        }
        try:
            save_file({name: self.blocks[block].contiguous() for name, block in names.items()}, path, metadata=header)
        except SafetensorError as error:
            raise EditError(f"{path} cannot be written: {error}") from None

    @classmethod
    def load(cls, path: Path) -> Delta:
        """Read a saved delta; raises :class:`EditError` if the file is damaged or none."""
        try:
            with safe_open(path, framework="pt") as file:
                header: dict[str, str] = file.metadata() or {}
                blocks = {
                    WeightSlice(
                        place["parameter"],
                        (place["shape"][0], place["shape"][1]),
                        rows=tuple(place["rows"]) if place["rows"] else None,
                        columns=tuple(place["columns"]) if place["columns"] else None,
                    ): file.get_tensor(name)
                    for name, place in json.loads(header["blocks"]).items()
                }
                provenance = json.loads(header["provenance"])
        except (OSError, SafetensorError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise EditError(f"{path} is no delta or is truncated: {error}") from None
        try:
            return cls(blocks, provenance)
        except EditError:
            raise EditError(f"{path} is damaged: what it holds is not finite, changes nothing or has other shapes than it says") from None


def merge(first: Delta, second: Delta) -> Delta:
    """One delta for two edits of which the second was made on top of the first.

    A weight that only one of them changes gets the same bits as when the edits are applied one after
    the other. Where both do, the changes are added in float32, and the weight is w + (a + b)
    instead of (w + a) + b: equal up to the rounding of these sums. For a weight in bfloat16 that is
    one rounding instead of two. Raises :class:`EditError` if they cancel or their models differ.
    """
    blocks, sums = {**first.blocks, **second.blocks}, dict[WeightSlice, Tensor]()
    for one, other, common in _overlaps(first, second):
        # Blocks of components are equal, nested or apart: a head inside its attention layer, a neuron inside its MLP.
        if common.bounds not in (one.bounds, other.bounds):
            raise EditError(f"two blocks of {one.parameter} overlap in part: only deltas of components can be merged")
        mine, theirs = (one, first.blocks[one]), (other, second.blocks[other])
        (whole, change), (inner, added) = (mine, theirs) if common.bounds == other.bounds else (theirs, mine)
        if whole not in sums:
            sums[whole] = change.to(torch.float32, copy=True)
        sums[whole][_within(whole, common)] += added
        blocks.pop(inner, None)
    blocks |= sums
    if not any(change.any() for change in blocks.values()):
        raise EditError("the two edits cancel each other: merged, they change no weight")
    return Delta(blocks, {"merged": [dict(first.provenance), dict(second.provenance)]})


def _overlaps(first: Delta, second: Delta) -> Iterator[tuple[WeightSlice, WeightSlice, WeightSlice]]:
    """Every pair of overlapping blocks, one of each delta, with the block that they have in common."""
    places: defaultdict[str, tuple[list[WeightSlice], list[WeightSlice]]] = defaultdict(lambda: ([], []))
    for number, delta in enumerate((first, second)):
        for block in delta.blocks:
            places[block.parameter][number].append(block)
    for name, (ones, others) in places.items():
        if len({block.shape for block in (*ones, *others)}) > 1:
            raise EditError(f"the deltas were made for different models: {name} has two shapes")
        if not ones or not others:
            continue
        # All pairs at once: localizations of neurons have thousands of blocks a matrix.
        left, right = (torch.tensor([block.bounds for block in blocks]) for blocks in (ones, others))
        start, end = torch.maximum(left[:, None, ::2], right[None, :, ::2]), torch.minimum(left[:, None, 1::2], right[None, :, 1::2])
        for one, other in (start < end).all(-1).nonzero().tolist():
            (top, side), (bottom, edge) = start[one, other].tolist(), end[one, other].tolist()
            yield ones[one], others[other], WeightSlice(name, ones[one].shape, (top, bottom), (side, edge))


def _within(block: WeightSlice, part: WeightSlice) -> tuple[slice, slice]:
    """The index of a part of a block in the block's own tensor."""
    (top, _, side, _), (first, last, left, right) = block.bounds, part.bounds
    return slice(first - top, last - top), slice(left - side, right - side)
