"""Path patching: the effect of one component on another along direct paths only (the paper, section 3, CounterFact).

Fact lookup by path patching takes two steps. First, which heads write the answer: each head's
effect on the final residual stream with attention frozen and later MLPs free to react. Second,
which MLPs feed them: each MLP's effect on the residual stream entering the first of these heads'
layers, with everything between frozen. Outputs add up in the residual stream, so the second step is
an addition to the stream and one pass from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mechlib.components import Component
from mechlib.facts import Prompt
from mechlib.models.forward import Entry, answer_logits, residual_stream
from mechlib.models.hooked import HookedModel
from mechlib.models.language_model import LanguageModel
from mechlib.patching.pairs import Corruption, Pair
from mechlib.patching.scores import Scores
from mechlib.patching.sweep import Direction, Effects, component_outputs, source_run, sweep


def direct_effects(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    *,
    corruption: Corruption = "tokens",
    direction: Direction = "denoise",
    seed: int = 0,
    batch_size: int = 16,
    report: Callable[[int, int], None] = lambda _done, _of: None,
) -> Scores:
    """Effect of each head on the logit difference with all later attention frozen and later MLPs reacting.

    MLPs are not senders in this step: their score is 0.
    """
    return sweep("direct effects", _direct, model, prompts, corruption=corruption, direction=direction, seed=seed,
                 batch_size=batch_size, report=report)  # fmt: skip


def effects_on_stream(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    receiver: int,
    *,
    corruption: Corruption = "tokens",
    direction: Direction = "denoise",
    seed: int = 0,
    batch_size: int = 16,
    report: Callable[[int, int], None] = lambda _done, _of: None,
) -> Scores:
    """Effect of each MLP below layer ``receiver`` through its direct path into the stream entering that layer."""

    def method(machine: HookedModel, pair: Pair, base: Entry, source: Entry) -> Effects:
        return _into_stream(machine, pair, base, source, receiver)

    return sweep(f"effects on the stream entering layer {receiver}", method, model, prompts, corruption=corruption, direction=direction,
                 seed=seed, batch_size=batch_size, report=report)  # fmt: skip


@torch.no_grad()
def _direct(machine: HookedModel, pair: Pair, base: Entry, source: Entry) -> Effects:
    arch = machine.model.architecture
    outputs, away = source_run(machine, pair, source)
    attention = [Component(layer, "attn").hook for layer in range(arch.n_layers)]
    frozen: dict[str, Tensor] = {}
    hooks = machine.bridge.hooks(fwd_hooks=[(name, _keeper(name, frozen)) for name in attention])
    before = pair.logit_difference(answer_logits(machine.model, pair.batch, base, hooks)).sum().item()
    copies, texts = pair.repeated(arch.n_heads), torch.arange(len(pair.batch), device=machine.model.device) * arch.n_heads
    effects: dict[Component, float] = {}
    for entry in residual_stream(machine.model, pair.batch, range(arch.n_layers), base):
        here = Component(entry.layer, "head", 0).hook
        rows = replace(entry, suffix=entry.suffix.repeat_interleave(arch.n_heads, 0))
        senders = [(here, _head_patcher(texts + head, head, outputs[here])) for head in range(arch.n_heads)]
        later = [(name, _constant(frozen[name].repeat_interleave(arch.n_heads, 0))) for name in attention[entry.layer + 1 :]]
        logits = answer_logits(machine.model, copies.batch, rows, machine.bridge.hooks(fwd_hooks=[*senders, *later]))
        totals = copies.logit_difference(logits).view(len(pair.batch), arch.n_heads).sum(0) - before
        effects |= {Component(entry.layer, "head", head): totals[head].item() for head in range(arch.n_heads)}
    return Effects(effects, before, away)


@torch.no_grad()
def _into_stream(machine: HookedModel, pair: Pair, base: Entry, source: Entry, receiver: int) -> Effects:
    there, away = source_run(machine, pair, source)
    here, logits = component_outputs(machine, pair, base)
    before = pair.logit_difference(logits).sum().item()
    (entry,) = residual_stream(machine.model, pair.batch, [receiver], base)
    senders = [Component(layer, "mlp") for layer in range(receiver)]
    effects: dict[Component, float] = {}
    for sender in senders:
        moved = replace(entry, suffix=entry.suffix + there[sender.hook] - here[sender.hook])
        effects[sender] = pair.logit_difference(answer_logits(machine.model, pair.batch, moved)).sum().item() - before
    return Effects(effects, before, away)


def _keeper(name: str, kept: dict[str, Tensor]) -> Callable[..., Tensor]:
    def keep(tensor: Tensor, **_hook: Any) -> Tensor:
        kept[name] = tensor
        return tensor

    return keep


def _constant(value: Tensor) -> Callable[..., Tensor]:
    return lambda _tensor, **_hook: value


def _head_patcher(rows: Tensor, head: int, value: Tensor) -> Callable[..., Tensor]:
    def patch(tensor: Tensor, **_hook: Any) -> Tensor:
        patched = tensor.clone()
        patched[rows, :, head] = value[:, :, head]
        return patched

    return patch
