"""Which mechanism do the weights belong to that a localization covers or an edit changes?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mechlib.components import Architecture, Component, ComponentError, Localization, WeightSlice
from mechlib.edit.delta import Delta

_Marked = tuple[WeightSlice, Tensor | bool]


@dataclass(frozen=True)
class Touched:
    """One mechanism: how many weights it has, how many of them are touched, and their share."""

    mechanism: str
    weights: int
    touched: int
    share: float


def touched(what: Localization | Delta, mechanisms: Mapping[str, Sequence[Component]], arch: Architecture) -> list[Touched]:
    """One row a mechanism (the paper's: extraction heads, extraction MLPs, fact lookup MLPs).

    Of a localization every weight counts: the share of the mechanism that it covers (the paper's
    Table 2). Of an edit only weights that it changes count: for a discretized mask the share that it
    zeroes (Table 3). The share of a mechanism without components is 0. Raises :class:`ComponentError`
    for a component that ``arch`` lacks, and for an edit of matrices of other shapes.
    """
    if isinstance(what, Delta):
        marked = _by_matrix((block, change != 0) for block, change in what.blocks.items())
    else:
        marked = _by_matrix((block, True) for component in what.components for block in component.weights(arch))
    rows: list[Touched] = []
    for name, components in mechanisms.items():
        size = count = 0
        for parameter, own in _by_matrix((block, True) for component in components for block in component.weights(arch)).items():
            inside = _filled(own)
            if parameter in marked and marked[parameter][0][0].shape != own[0][0].shape:
                raise ComponentError(f"the edit was made for another model: its {parameter} has the shape {marked[parameter][0][0].shape}")
            size += int(inside.sum())
            count += int((inside & _filled(marked[parameter])).sum()) if parameter in marked else 0
        rows.append(Touched(name, size, count, count / size if size else 0.0))
    return rows


def _by_matrix(blocks: Iterable[_Marked]) -> dict[str, list[_Marked]]:
    found: dict[str, list[_Marked]] = {}
    for block, marks in blocks:
        found.setdefault(block.parameter, []).append((block, marks))
    return found


def _filled(blocks: Sequence[_Marked]) -> Tensor:
    matrix = torch.zeros(blocks[0][0].shape, dtype=torch.bool)
    for block, marks in blocks:
        matrix[block.index] = marks
    return matrix
