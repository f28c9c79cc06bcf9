"""Faithfulness of circuits: does a method's ranking find the components that carry the answer? (MIB, Mueller et al. 2025)"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from mechlib import checks
from mechlib.components import Component, ComponentError, heads_and_mlps
from mechlib.facts import FactError, Prompt
from mechlib.models.hooks import Place, hooks
from mechlib.models.language_model import LanguageModel
from mechlib.models.precision import Precision, computing, in_precision
from mechlib.patching.pairs import check_prompts, make_pair
from mechlib.patching.scores import Scores
from mechlib.patching.sweep import OnProgress, component_outputs, patching, silent


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
    progress: OnProgress = silent,
) -> list[CircuitRow]:
    """Faithfulness of every prefix (in :func:`sizes`) of each ranking ``(method, signed, heads and MLPs)``.

    Raises :class:`mechlib.facts.FactError` if there are no prompts, one has no other answer to compare with, or the
    corruption changes nothing, and :class:`ComponentError` for a ranked component that is no head or MLP of the model.
    """
    check_prompts(prompts)
    everything = heads_and_mlps(model.architecture)
    for name, _, ranked in rankings:
        if others := set(ranked) - set(everything):
            raise ComponentError(f"the ranking '{name}' holds {min(others)}: rank heads and MLPs of {model.name}")
    working = in_precision(model, precision)
    circuits = [(name, signed, size, frozenset(ranked[:size])) for name, signed, ranked in rankings for size in sizes(len(everything))]
    # Methods can agree: each circuit is run once.
    outside = {kept: _outside(model, kept) for *_, kept in circuits}
    totals: list[Tensor] = []
    done = 0
    for part in checks.parts("batch_size", prompts, batch_size):
        pair = make_pair(working, part, "tokens", seed)
        with computing(working, precision):
            outputs, corrupted = component_outputs(working, pair, pair.corrupted)
            runs = [pair.logit_difference(working, pair.clean), corrupted]
            for replaced in outside.values():
                changes = {place: patching(outputs[place], where) for place, where in replaced.items()}
                runs.append(pair.logit_difference(working, pair.clean, hooks(working, changes)))
            totals.append(torch.stack(runs).double().sum(1))
        done += len(part)
        progress(done, len(prompts))
    clean, corrupted, *found = torch.stack(totals).sum(0).tolist()
    if clean == corrupted:
        raise FactError("corrupting the subjects changes no answer, so no circuit can be told from another; ask about other facts")
    shares = {kept: (total - corrupted) / (clean - corrupted) for kept, total in zip(outside, found, strict=True)}
    return [CircuitRow(name, signed, size, len(everything), shares[kept]) for name, signed, size, kept in circuits]


def rankings(scores: dict[str, Scores], among: Sequence[Component]) -> list[tuple[str, bool, list[Component]]]:
    """Each method's components by decreasing score, and by decreasing absolute score."""
    return [
        (name, signed, sorted(among, key=lambda c: (-(found.values[c] if signed else abs(found.values[c])), c)))
        for name, found in scores.items()
        for signed in (True, False)
    ]


def _outside(model: LanguageModel, kept: frozenset[Component]) -> dict[Place, Bool[Tensor, "1 1 1 width"]]:
    """The part of each output that belongs to components not ``kept``; outputs without such a part are left out."""
    arch = model.architecture
    named = [component not in kept for component in heads_and_mlps(arch)]
    parts = torch.tensor(named, device=model.device).view(arch.n_layers, 1, 1, 1, -1)  # in one piece to where the model is
    heads, mlps = parts[..., : arch.n_heads].repeat_interleave(arch.d_head, -1), parts[..., arch.n_heads :]
    found: dict[Place, Tensor] = {}
    for layer in range(arch.n_layers):
        own = named[layer * (arch.n_heads + 1) :][: arch.n_heads + 1]
        found |= {(layer, "heads"): heads[layer]} if any(own[:-1]) else {}
        found |= {(layer, "mlp"): mlps[layer]} if own[-1] else {}
    return found


def curve_areas(rows: Sequence[CircuitRow]) -> tuple[float, float]:
    """CPR, the area under the curve of signed circuits, and CMD, the area between that of absolute ones and 1 (MIB).

    Trapezoids over the share of components that the circuit keeps. Higher CPR and lower CMD are better. Not numbers where there is no row.
    """
    if not rows:
        return float("nan"), float("nan")
    signed = sorted((row.size / row.of, row.faithfulness) for row in rows if row.signed)
    absolute = sorted((row.size / row.of, abs(1 - row.faithfulness)) for row in rows if not row.signed)
    reward, distance = (float(np.trapezoid([y for _, y in points], [x for x, _ in points])) for points in (signed, absolute))
    return reward, distance
