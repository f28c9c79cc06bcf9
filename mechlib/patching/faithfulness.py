"""Faithfulness of circuits: does a method's ranking find the components that carry the answer? (MIB, Mueller et al. 2025)"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.components import Component, nodes
from mechlib.facts import Prompt
from mechlib.models.hooks import Place, columns, hooks, place
from mechlib.models.language_model import LanguageModel
from mechlib.models.precision import Precision, computing, in_precision
from mechlib.patching.pairs import Pair, make_pair
from mechlib.patching.scores import Scores
from mechlib.patching.sweep import Report, component_outputs, silent


@dataclass(frozen=True)
class CircuitRow:
    """One circuit: the ``size`` best components keep their clean output, all others take the corrupted run's.

    ``faithfulness`` is (circuit - corrupted) / (clean - corrupted) in mean logit differences: 1 where
    the circuit alone does what the model does. ``signed`` ranks by score, else by absolute score.
    """

    method: str
    signed: bool
    size: int
    of: int
    faithfulness: float


def sizes(count: int) -> tuple[int, ...]:
    """No component, then 1, 2, 4 ... and all of them: with so few components smaller shares round to none."""
    powers = [2**power for power in range(count.bit_length()) if 2**power < count]
    return (0, *powers, count)


@torch.no_grad()
def faithfulness(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    rankings: Sequence[tuple[str, bool, Sequence[Component]]],
    *,
    seed: int,
    precision: Precision = "float32",
    batch_size: int = 32,
    report: Report = silent,
) -> list[CircuitRow]:
    """Faithfulness of every prefix (in :func:`sizes`) of each ranking ``(method, signed, heads and MLPs)``."""
    machine, everything = in_precision(model, precision), nodes(model.architecture)
    circuits = [(name, signed, size, frozenset(ranked[:size])) for name, signed, ranked in rankings for size in sizes(len(everything))]
    totals: dict[frozenset[Component], float] = dict.fromkeys((kept for *_, kept in circuits), 0.0)  # methods can agree
    clean, corrupted = 0.0, 0.0
    for start in range(0, len(prompts), batch_size):
        pair = make_pair(machine, prompts[start : start + batch_size], "tokens", seed + start)
        with computing(machine, precision):
            outputs, away = component_outputs(machine, pair, pair.corrupted)
            clean, corrupted = clean + pair.lead(machine, pair.clean).sum().item(), corrupted + away.sum().item()
            for kept in totals:
                totals[kept] += _circuit(machine, pair, outputs, kept).sum().item()
        report(min(start + batch_size, len(prompts)), len(prompts))
    shares = {kept: (total - corrupted) / (clean - corrupted) for kept, total in totals.items()}
    return [CircuitRow(name, signed, size, len(everything), shares[kept]) for name, signed, size, kept in circuits]


def rankings(scores: dict[str, Scores], among: Sequence[Component]) -> list[tuple[str, bool, list[Component]]]:
    """Each method's components by decreasing score, and by decreasing absolute score."""
    return [
        (name, signed, sorted(among, key=lambda c: (-(found.values[c] if signed else abs(found.values[c])), c)))
        for name, found in scores.items()
        for signed in (True, False)
    ]


def _circuit(model: LanguageModel, pair: Pair, corrupted: dict[Place, Tensor], kept: frozenset[Component]) -> Float[Tensor, " text"]:
    """Logit differences of the clean run with the outputs of all components but ``kept`` corrupted."""
    outside: dict[Place, list[slice]] = {}
    for component in nodes(model.architecture):
        if component not in kept:
            outside.setdefault(place(component), []).append(columns(component, model.architecture))
    return pair.lead(model, pair.clean, hooks(model, {at: _replacer(corrupted[at], parts) for at, parts in outside.items()}))


def _replacer(source: Tensor, parts: Sequence[slice]) -> Callable[[Tensor], Tensor]:
    def replace(tensor: Tensor) -> Tensor:
        changed = tensor.clone()
        for part in parts:
            changed[..., part] = source[..., part]
        return changed

    return replace


def curve_areas(rows: Sequence[CircuitRow]) -> tuple[float, float]:
    """CPR, the area under the curve of signed circuits, and CMD, the area between that of absolute ones and 1 (MIB).

    Trapezoids over the share of components that the circuit keeps. Higher CPR and lower CMD are better.
    """
    signed = sorted((row.size / row.of, row.faithfulness) for row in rows if row.signed)
    absolute = sorted((row.size / row.of, abs(1 - row.faithfulness)) for row in rows if not row.signed)
    reward, distance = (float(np.trapezoid([y for _, y in points], [x for x, _ in points])) for points in (signed, absolute))
    return reward, distance
