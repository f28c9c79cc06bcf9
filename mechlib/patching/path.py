"""Path patching: the effect of one component on another along direct paths only (the paper, section 3, CounterFact).

Fact lookup by path patching takes two steps. First, which heads and MLPs write the answer? Each one's
effect on the final residual stream with attention frozen and later MLPs free to react. Second,
which MLPs feed these heads? Each MLP's effect on the residual stream entering the first of these heads'
layers, with everything between frozen. Outputs add up in the residual stream, so the second step is
an addition to the stream and one pass from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mechlib.components import Component, ComponentError, heads_and_mlps
from mechlib.facts import Prompt
from mechlib.models.forward import Entry, residual_stream
from mechlib.models.hooks import Place, hooks
from mechlib.models.language_model import LanguageModel
from mechlib.patching.activation import heads_and_mlp, patches
from mechlib.patching.pairs import Pair
from mechlib.patching.scores import Scores
from mechlib.patching.sweep import Effects, SweepConfig, component_outputs, keeping, patching, sweep


def direct_effects(model: LanguageModel, prompts: Sequence[Prompt], **settings: Any) -> Scores:
    """Effect of each head and MLP on the logit difference with all later attention frozen and later MLPs reacting.

    ``settings`` are those of :class:`SweepConfig`.
    """
    return sweep("direct effects", _direct, model, prompts, SweepConfig(**settings))


def effects_on_stream(model: LanguageModel, prompts: Sequence[Prompt], receiver: int, **settings: Any) -> Scores:
    """Effect of each MLP below layer ``receiver`` through its direct path into the stream entering that layer.

    ``settings`` are those of :class:`SweepConfig`. Raises :class:`ComponentError` for a receiver that is no layer above the first.
    """
    if not 1 <= receiver < model.architecture.n_layers:
        raise ComponentError(f"receiver={receiver}: give a layer from 1 to {model.architecture.n_layers - 1}; below it MLPs are scored")

    def method(working: LanguageModel, pair: Pair, base: Entry, source: Entry) -> Effects:
        return _into_stream(working, pair, base, source, receiver)

    return sweep(f"effects on the stream entering layer {receiver}", method, model, prompts, SweepConfig(**settings))


@torch.no_grad()
def _direct(model: LanguageModel, pair: Pair, base: Entry, source: Entry) -> Effects:
    arch = model.architecture
    outputs, of_source = component_outputs(model, pair, source)
    attention: list[Place] = [(layer, "attn") for layer in range(arch.n_layers)]
    frozen: dict[Place, Tensor] = {}
    of_base = pair.logit_difference(model, base, hooks(model, {place: keeping(place, frozen) for place in attention}))
    sites = heads_and_mlp(arch, model.device)
    times = len(sites["mlp"])
    everywhere = torch.ones(times, 1, 1, 1, dtype=torch.bool, device=model.device)
    copies, found = pair.repeated(times), list[Tensor]()
    for entry in residual_stream(model, pair.packed, range(arch.n_layers), base):
        later = {place: patching(frozen[place], everywhere) for place in attention[entry.layer + 1 :]}
        changes = patches(entry.layer, sites, outputs) | later
        patched = copies.logit_difference(model, entry.repeated(times), hooks(model, changes))
        found.append(patched.view(times, -1) - of_base)
    return Effects(heads_and_mlps(arch), torch.cat(found), of_base, of_source)


@torch.no_grad()
def _into_stream(model: LanguageModel, pair: Pair, base: Entry, source: Entry, receiver: int) -> Effects:
    in_source, of_source = component_outputs(model, pair, source)
    in_base, of_base = component_outputs(model, pair, base)
    (entry,) = residual_stream(model, pair.packed, [receiver], base)
    senders = [Component(layer, "mlp") for layer in range(receiver)]
    changes = [in_source[layer, "mlp"] - in_base[layer, "mlp"] for layer in range(receiver)]
    found = [pair.logit_difference(model, Entry(receiver, entry.stream + change)) - of_base for change in changes]
    return Effects(senders, torch.stack(found), of_base, of_source)
