"""Attribution patching: a first-order estimate of activation patching from one backward pass (Nanda 2023)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from mechlib.components import nodes
from mechlib.facts import Prompt
from mechlib.models.forward import Entry
from mechlib.models.hooked import HookedModel
from mechlib.models.language_model import LanguageModel
from mechlib.patching.pairs import Corruption, Pair
from mechlib.patching.scores import Scores
from mechlib.patching.sweep import Direction, Effects, component_outputs, source_run, sweep


def attribution_patching(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    *,
    corruption: Corruption,
    direction: Direction,
    seed: int,
    integration_steps: int = 0,
    batch_size: int = 16,
    report: Callable[[int, int], None] = lambda _done, _of: None,
) -> Scores:
    """Gradient times (source minus base) output, summed over positions, for each head and MLP.

    Same directions, normalization and sign as :func:`activation_patching`, which it approximates.
    The paper's variant is ``noise``, corrupted by random tokens, with the gradient at the base run.
    With ``integration_steps`` the gradient is averaged over that many points between the base's and
    the source's embeddings (EAP-IG, inputs; Hanna et al. 2024).
    """
    points = [(step + 0.5) / integration_steps for step in range(integration_steps)] or [0.0]
    name = f"integrated gradients, {integration_steps} steps" if integration_steps else "attribution patching"

    def method(machine: HookedModel, pair: Pair, base: Entry, source: Entry) -> Effects:
        return _attribute(machine, pair, base, source, points)

    return sweep(name, method, model, prompts, corruption=corruption, direction=direction, seed=seed, batch_size=batch_size, report=report)


def _attribute(machine: HookedModel, pair: Pair, base: Entry, source: Entry, points: Sequence[float]) -> Effects:
    there, away = source_run(machine, pair, source)
    here, before = source_run(machine, pair, base) if points != [0.0] else ({}, 0.0)
    slopes = {name: torch.zeros_like(tensor) for name, tensor in there.items()}
    for point in points:
        # The weights are frozen: gradients flow because the stream that enters the first layer asks for them.
        stream = torch.lerp(base.suffix, source.suffix, point).requires_grad_(True)
        outputs, logits = component_outputs(machine, pair, replace(base, suffix=stream))
        metric = pair.logit_difference(logits).sum()
        for name, slope in zip(outputs, torch.autograd.grad(metric, list(outputs.values())), strict=True):
            slopes[name] += slope / len(points)
        if not here:
            here, before = {name: tensor.detach() for name, tensor in outputs.items()}, metric.item()
    changes = {name: slopes[name] * (there[name] - here[name]) for name in slopes}
    effects = {
        component: (changes[component.hook][:, :, component.index] if component.kind == "head" else changes[component.hook]).sum().item()
        for component in nodes(machine.model.architecture)
    }
    return Effects(effects, before, away)
