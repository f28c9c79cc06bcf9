"""Exact activation patching of every head and MLP (causal tracing is its denoising direction).

One forward pass would be needed for each component and prompt. Here all components of a layer are
patched in copies of the batch at once, and each layer starts from the residual stream of the base
run, so the layers below are not computed again. Both are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from mechlib.components import Component, nodes
from mechlib.facts import Prompt
from mechlib.models.forward import Entry, answer_logits, residual_stream
from mechlib.models.hooked import HookedModel
from mechlib.models.language_model import LanguageModel
from mechlib.patching.pairs import Corruption, Pair
from mechlib.patching.scores import Scores
from mechlib.patching.sweep import Direction, Effects, source_run, sweep


def activation_patching(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    *,
    corruption: Corruption,
    direction: Direction,
    seed: int,
    batch_size: int = 16,
    report: Callable[[int, int], None] = lambda _done, _of: None,
) -> Scores:
    """Effect on the mean logit difference of patching each head and each MLP, at all positions; see :func:`sweep`."""
    return sweep("activation patching", _patch, model, prompts, corruption=corruption, direction=direction, seed=seed,
                 batch_size=batch_size, report=report)  # fmt: skip


@torch.no_grad()
def _patch(machine: HookedModel, pair: Pair, base: Entry, source: Entry) -> Effects:
    outputs, away = source_run(machine, pair, source)
    before = pair.logit_difference(answer_logits(machine.model, pair.batch, base)).sum().item()
    effects: dict[Component, float] = {}
    for entry in residual_stream(machine.model, pair.batch, range(machine.model.architecture.n_layers), base):
        effects |= {component: total - before for component, total in _patch_layer(machine, pair, entry, outputs).items()}
    return Effects(effects, before, away)


def _patch_layer(machine: HookedModel, pair: Pair, entry: Entry, outputs: dict[str, Tensor]) -> dict[Component, float]:
    """Summed logit difference of the base run with each of the layer's components patched."""
    here = [component for component in nodes(machine.model.architecture) if component.layer == entry.layer]
    copies = pair.repeated(len(here))
    rows = Entry(entry.layer, entry.prefix, entry.suffix.repeat_interleave(len(here), 0))
    texts = torch.arange(len(pair.batch), device=machine.model.device) * len(here)

    def patcher(number: int, component: Component) -> Callable[..., Tensor]:
        def patch(tensor: Tensor, **_hook: Any) -> Tensor:
            patched = tensor.clone()
            at = (texts + number, slice(None), component.index) if component.kind == "head" else texts + number
            value = outputs[component.hook]
            patched[at] = value[:, :, component.index] if component.kind == "head" else value
            return patched

        return patch

    hooks = machine.bridge.hooks(fwd_hooks=[(c.hook, patcher(number, c)) for number, c in enumerate(here)])
    logits = answer_logits(machine.model, copies.batch, rows, hooks)
    differences = copies.logit_difference(logits).view(len(pair.batch), len(here)).sum(0)
    return {component: differences[number].item() for number, component in enumerate(here)}
