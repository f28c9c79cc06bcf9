"""First-order estimates of activation patching from one backward pass (Nanda 2023), and two that mend them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from mechlib.components import nodes
from mechlib.facts import Prompt
from mechlib.models.forward import Entry
from mechlib.models.hooks import Place, columns, place
from mechlib.models.language_model import LanguageModel
from mechlib.models.precision import Precision
from mechlib.patching.pairs import Corruption, Pair
from mechlib.patching.relevance import relevance_rules
from mechlib.patching.scores import Scores
from mechlib.patching.sweep import Direction, Effects, Report, by_position, component_outputs, silent, sweep

Slope = Literal["gradient", "relevance"]


def attribution_patching(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    *,
    corruption: Corruption,
    direction: Direction,
    seed: int,
    integration_steps: int = 0,
    slope: Slope = "gradient",
    precision: Precision = "float32",
    batch_size: int = 16,
    report: Report = silent,
) -> Scores:
    """Slope times (source minus base) output, summed over positions, for each head and MLP.

    Same directions, normalization and sign as :func:`activation_patching`, which it approximates.
    The paper's variant is ``noise``, corrupted by random tokens, with the gradient at the base run.
    With ``integration_steps`` the gradient is averaged over that many points between the base's and
    the source's embeddings (EAP-IG, inputs; Hanna et al. 2024). ``relevance`` takes the slope from
    relevance propagation instead (RelP, Jafari et al. 2025; see :mod:`mechlib.patching.relevance`).
    """
    points = [(step + 0.5) / integration_steps for step in range(integration_steps)] or [0.0]
    name = "attribution patching" if slope == "gradient" else "relevance patching"
    name += f", {integration_steps} steps" if integration_steps else ""

    def method(machine: LanguageModel, pair: Pair, base: Entry, source: Entry) -> Effects:
        return _attribute(machine, pair, base, source, points, slope)

    return sweep(name, method, model, prompts, corruption=corruption, direction=direction, seed=seed, batch_size=batch_size,
                 report=report, precision=precision)  # fmt: skip


def _attribute(model: LanguageModel, pair: Pair, base: Entry, source: Entry, points: Sequence[float], slope: Slope) -> Effects:
    with torch.no_grad():
        there, away = component_outputs(model, pair, source)
        here, before = component_outputs(model, pair, base) if points != [0.0] else (dict[Place, Tensor](), away)
    slopes = {at: torch.zeros_like(tensor) for at, tensor in there.items()}
    for point in points:
        # The weights are frozen: gradients flow because the stream that enters the first layer asks for them.
        stream = torch.lerp(base.suffix, source.suffix, point).requires_grad_(True)
        with relevance_rules(model) if slope == "relevance" else nullcontext():
            outputs, leads = component_outputs(model, pair, replace(base, suffix=stream))
            gradients = torch.autograd.grad(leads.sum(), list(outputs.values()))
        for at, gradient in zip(outputs, gradients, strict=True):
            slopes[at] += gradient / len(points)
        if not here:
            here, before = {at: tensor.detach() for at, tensor in outputs.items()}, leads.detach()
    changes = {at: slopes[at].float() * (there[at] - here[at]) for at in slopes}
    parts = {
        component: by_position(pair, changes[place(component)][..., columns(component, model.architecture)].sum(-1))
        for component in nodes(model.architecture)
    }
    return Effects({component: part.sum(1) for component, part in parts.items()}, before, away, parts)
