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
    batch_size: int = 16,
    report: Callable[[int, int], None] = lambda _done, _of: None,
) -> Scores:
    """Gradient at the base run times (source minus base) output, summed over positions, for each head and MLP.

    Same directions, normalization and sign as :func:`activation_patching`, which it approximates.
    The paper's variant is ``noise``, corrupted by random tokens.
    """
    return sweep("attribution patching", _attribute, model, prompts, corruption=corruption, direction=direction, seed=seed,
                 batch_size=batch_size, report=report)  # fmt: skip


def _attribute(machine: HookedModel, pair: Pair, base: Entry, source: Entry) -> Effects:
    other, away = source_run(machine, pair, source)
    # The weights are frozen: gradients flow because the stream that enters the first layer asks for them.
    outputs, logits = component_outputs(machine, pair, replace(base, suffix=base.suffix.clone().requires_grad_(True)))
    metric = pair.logit_difference(logits).sum()
    names = list(outputs)
    gradients = torch.autograd.grad(metric, [outputs[name] for name in names])
    changes = {name: slope * (other[name] - outputs[name].detach()) for name, slope in zip(names, gradients, strict=True)}
    effects = {
        component: (changes[component.hook][:, :, component.index] if component.kind == "head" else changes[component.hook]).sum().item()
        for component in nodes(machine.model.architecture)
    }
    return Effects(effects, metric.item(), away)
