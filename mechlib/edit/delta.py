"""A delta: the change an edit makes, as a value. The model is left as it was."""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mechlib.components import WeightSlice
from mechlib.models.language_model import LanguageModel

# What a stored delta is called.
FILE = "delta.safetensors"


class EditError(RuntimeError):
    """An edit that failed, changed nothing, or does not fit the model."""


@dataclass(frozen=True, eq=False)
class Delta:
    """Changes of weight blocks, to be added. ``provenance`` says what made them."""

    blocks: Mapping[WeightSlice, Tensor]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
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

    @contextmanager
    def applied(self, model: LanguageModel) -> Generator[LanguageModel]:
        """The edited model, for as long as the context lasts; the original weights are set aside, never written to.

        Raises :class:`EditError` if the model lacks a block's matrix or has another shape of it.
        """
        parameters = model.parameters
        for block in self.blocks:
            if block.parameter not in parameters or tuple(parameters[block.parameter].shape) != block.shape:
                raise EditError(f"the delta was made for another model: {model.name} has no {block.parameter} of shape {block.shape}")
        originals = {name: parameters[name].data for name in {block.parameter for block in self.blocks}}
        try:
            for name, original in originals.items():
                parameters[name].data = original.clone()
            for block, change in self.blocks.items():
                parameters[block.parameter].data[block.index].add_(change.to(model.device))
            yield model
        finally:
            for name, original in originals.items():
                parameters[name].data = original

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
        """Read a saved delta; raises :class:`EditError` if the file is truncated or none."""
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
        except (OSError, SafetensorError, KeyError, json.JSONDecodeError) as error:
            raise EditError(f"{path} is no delta or is truncated: {error}") from None
        return cls(blocks, provenance)
