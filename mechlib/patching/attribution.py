"""Attribution patching: a first-order estimate of activation patching from one backward pass (Nanda 2023)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mechlib.components import nodes
from mechlib.facts import Prompt
from mechlib.models.forward import answer_logits
from mechlib.models.hooked import hooked
from mechlib.models.language_model import LanguageModel
from mechlib.patching.activation import Direction, component_outputs
from mechlib.patching.pairs import Corruption, make_pair
from mechlib.patching.scores import Scores


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
    machine = hooked(model)
    components = nodes(model.architecture)
    totals = dict.fromkeys(components, 0.0)
    clean, corrupted = 0.0, 0.0
    for start in range(0, len(prompts), batch_size):
        pair = make_pair(model, prompts[start : start + batch_size], corruption, seed + start)
        base, source = (pair.corrupted, pair.clean) if direction == "denoise" else (pair.clean, pair.corrupted)
        with torch.no_grad():
            other = component_outputs(machine, pair, source)
            away = pair.logit_difference(answer_logits(model, pair.batch, source)).sum().item()
        outputs: dict[str, Tensor] = {}

        def keeper(name: str, kept: dict[str, Tensor] = outputs) -> Callable[..., Tensor]:
            def keep(tensor: Tensor, **_hook: Any) -> Tensor:
                kept[name] = tensor
                return tensor  # a hook sees heads in their own axis: hand that view on, or it is not in the graph

            return keep

        # The weights are frozen: gradients flow because the stream that enters the first layer asks for them.
        live = replace(base, suffix=base.suffix.clone().requires_grad_(True))
        hooks = machine.bridge.hooks(fwd_hooks=[(name, keeper(name)) for name in other])
        metric = pair.logit_difference(answer_logits(machine.model, pair.batch, live, hooks)).sum()
        names = list(outputs)
        gradients = dict(zip(names, torch.autograd.grad(metric, [outputs[name] for name in names]), strict=True))
        for component in components:
            change = gradients[component.hook] * (other[component.hook] - outputs[component.hook].detach())
            totals[component] += (change[:, :, component.index] if component.kind == "head" else change).sum().item()
        here = metric.item()
        clean += away if direction == "denoise" else here
        corrupted += here if direction == "denoise" else away
        report(min(start + batch_size, len(prompts)), len(prompts))
    span = (clean - corrupted) * (1 if direction == "denoise" else -1)
    values = {component: total / span for component, total in totals.items()}
    return Scores(f"attribution patching ({direction})", values, clean / len(prompts), corrupted / len(prompts))
