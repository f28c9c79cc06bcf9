"""Exact activation patching of every head and MLP (causal tracing is its denoising direction).

One forward pass would be needed for each component and prompt. Here all components of a layer are
patched in copies of the batch at once, and each layer starts from the residual stream of the base
run, so the layers below are not computed again. Both are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from mechlib.components import Component, nodes
from mechlib.facts import Prompt
from mechlib.models.forward import Entry, answer_logits, residual_stream
from mechlib.models.hooked import HookedModel, hooked
from mechlib.models.language_model import LanguageModel
from mechlib.patching.pairs import Corruption, Pair, make_pair
from mechlib.patching.scores import Scores

Direction = Literal["denoise", "noise"]


@torch.no_grad()
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
    """Effect of patching each head and each MLP, at all positions, on the mean logit difference.

    ``denoise`` puts clean outputs into the corrupted run (causal tracing: what suffices), ``noise``
    corrupted outputs into the clean run (what is necessary). Scores are normalized by the
    difference between the two runs, so that in both directions larger means more important.
    """
    machine = hooked(model)
    components = nodes(model.architecture)
    totals = dict.fromkeys(components, 0.0)
    clean, corrupted = 0.0, 0.0
    for start in range(0, len(prompts), batch_size):
        pair = make_pair(model, prompts[start : start + batch_size], corruption, seed + start)
        base, source = (pair.corrupted, pair.clean) if direction == "denoise" else (pair.clean, pair.corrupted)
        outputs = component_outputs(machine, pair, source)
        ends = {run: pair.logit_difference(answer_logits(model, pair.batch, entry)).sum().item()
                for run, entry in (("clean", pair.clean), ("corrupted", pair.corrupted))}  # fmt: skip
        clean, corrupted = clean + ends["clean"], corrupted + ends["corrupted"]
        before = ends["corrupted"] if direction == "denoise" else ends["clean"]
        for entry in residual_stream(model, pair.batch, range(model.architecture.n_layers), base):
            effects = _patch_layer(machine, pair, entry, outputs)
            for component, total in effects.items():
                totals[component] += total - before
        report(min(start + batch_size, len(prompts)), len(prompts))
    span = (clean - corrupted) * (1 if direction == "denoise" else -1)
    values = {component: total / span for component, total in totals.items()}
    return Scores(f"activation patching ({direction})", values, clean / len(prompts), corrupted / len(prompts))


def component_outputs(machine: HookedModel, pair: Pair, entry: Entry) -> dict[str, Tensor]:
    """Outputs of all heads (``hook_z``) and MLPs at the suffix positions of one run, by hook name."""
    outputs: dict[str, Tensor] = {}
    names = {component.hook for component in nodes(machine.model.architecture)}

    def keeper(name: str) -> Callable[..., None]:
        def keep(tensor: Tensor, **_hook: Any) -> None:
            outputs[name] = tensor

        return keep

    hooks = machine.bridge.hooks(fwd_hooks=[(name, keeper(name)) for name in sorted(names)])
    answer_logits(machine.model, pair.batch, entry, hooks)
    return outputs


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
