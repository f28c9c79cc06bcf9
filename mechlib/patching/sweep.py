"""What all patching methods share: pairs of runs in batches, sums over texts, scores as shares of the corruption's effect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from mechlib.components import Component, nodes
from mechlib.facts import Prompt
from mechlib.models.forward import Entry, answer_logits
from mechlib.models.hooked import HookedModel, hooked
from mechlib.models.language_model import LanguageModel
from mechlib.patching.pairs import Corruption, Pair, make_pair
from mechlib.patching.scores import Scores

Direction = Literal["denoise", "noise"]


@dataclass(frozen=True)
class Effects:
    """Summed over a batch: each component's effect on the base run, and the logit differences of both runs."""

    components: dict[Component, float]
    base: float
    source: float


Method = Callable[[HookedModel, Pair, Entry, Entry], Effects]


def sweep(
    name: str,
    method: Method,
    model: LanguageModel,
    prompts: Sequence[Prompt],
    *,
    corruption: Corruption,
    direction: Direction,
    seed: int,
    batch_size: int,
    report: Callable[[int, int], None],
) -> Scores:
    """Score every head and MLP with ``method(hooked model, pair, base, source)``.

    ``denoise`` brings outputs of the clean run into the corrupted one (what suffices), ``noise``
    those of the corrupted run into the clean one (what is necessary). Scores are divided by the
    difference that the whole corruption makes, so larger means more important in both directions.
    """
    machine = hooked(model)
    totals = dict.fromkeys(nodes(model.architecture), 0.0)
    base_total, source_total = 0.0, 0.0
    for start in range(0, len(prompts), batch_size):
        pair = make_pair(model, prompts[start : start + batch_size], corruption, seed + start)
        base, source = (pair.corrupted, pair.clean) if direction == "denoise" else (pair.clean, pair.corrupted)
        found = method(machine, pair, base, source)
        for component, effect in found.components.items():
            totals[component] += effect
        base_total, source_total = base_total + found.base, source_total + found.source
        report(min(start + batch_size, len(prompts)), len(prompts))
    values = {component: total / (source_total - base_total) for component, total in totals.items()}
    ends = (base_total / len(prompts), source_total / len(prompts))
    corrupted, clean = ends if direction == "denoise" else ends[::-1]
    return Scores(f"{name} ({direction})", values, clean, corrupted)


def component_outputs(machine: HookedModel, pair: Pair, entry: Entry) -> tuple[dict[str, Tensor], Tensor]:
    """One run: outputs of all heads (``hook_z``) and MLPs at the suffix positions, by hook name, and the answer logits."""
    outputs: dict[str, Tensor] = {}

    def keeper(name: str) -> Callable[..., Tensor]:
        def keep(tensor: Tensor, **_hook: Any) -> Tensor:
            outputs[name] = tensor
            return tensor  # a hook sees heads in their own axis: hand that view on, or it is not in the graph

        return keep

    names = {component.hook for component in nodes(machine.model.architecture)}
    hooks = machine.bridge.hooks(fwd_hooks=[(name, keeper(name)) for name in sorted(names)])
    return outputs, answer_logits(machine.model, pair.batch, entry, hooks)


@torch.no_grad()
def source_run(machine: HookedModel, pair: Pair, source: Entry) -> tuple[dict[str, Tensor], float]:
    """Component outputs of the run that patches are taken from, and its summed logit difference."""
    outputs, logits = component_outputs(machine, pair, source)
    return outputs, pair.logit_difference(logits).sum().item()
