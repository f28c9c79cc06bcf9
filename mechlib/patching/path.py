"""Path patching: the effect of one component on another along direct paths only (the paper, section 3, CounterFact).

Fact lookup by path patching takes two steps. First, which heads and MLPs write the answer: each one's
effect on the final residual stream with attention frozen and later MLPs free to react. Second,
which MLPs feed the heads: each MLP's effect on the residual stream entering the first of these heads'
layers, with everything between frozen. Outputs add up in the residual stream, so the second step is
an addition to the stream and one pass from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from mechlib.components import Component, nodes
from mechlib.facts import Prompt
from mechlib.models.forward import Entry, residual_stream
from mechlib.models.hooks import Place, columns, hooks, place
from mechlib.models.language_model import LanguageModel
from mechlib.models.precision import Precision
from mechlib.patching.pairs import Corruption, Pair
from mechlib.patching.scores import Scores
from mechlib.patching.sweep import Direction, Effects, Report, component_outputs, silent, sweep


def direct_effects(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    *,
    corruption: Corruption = "tokens",
    direction: Direction = "denoise",
    seed: int = 0,
    precision: Precision = "float32",
    batch_size: int = 32,
    report: Report = silent,
) -> Scores:
    """Effect of each head and MLP on the logit difference with all later attention frozen and later MLPs reacting."""
    return sweep("direct effects", _direct, model, prompts, corruption=corruption, direction=direction, seed=seed,
                 batch_size=batch_size, report=report, precision=precision)  # fmt: skip


def effects_on_stream(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    receiver: int,
    *,
    corruption: Corruption = "tokens",
    direction: Direction = "denoise",
    seed: int = 0,
    precision: Precision = "float32",
    batch_size: int = 32,
    report: Report = silent,
) -> Scores:
    """Effect of each MLP below layer ``receiver`` through its direct path into the stream entering that layer."""

    def method(machine: LanguageModel, pair: Pair, base: Entry, source: Entry) -> Effects:
        return _into_stream(machine, pair, base, source, receiver)

    return sweep(f"effects on the stream entering layer {receiver}", method, model, prompts, corruption=corruption, direction=direction,
                 seed=seed, batch_size=batch_size, report=report, precision=precision)  # fmt: skip


@torch.no_grad()
def _direct(model: LanguageModel, pair: Pair, base: Entry, source: Entry) -> Effects:
    arch = model.architecture
    outputs, away = component_outputs(model, pair, source)
    attention: list[Place] = [(layer, "attn") for layer in range(arch.n_layers)]
    frozen: dict[Place, Tensor] = {}
    before = pair.lead(model, base, hooks(model, {at: _keeper(at, frozen) for at in attention}))
    count = arch.n_heads + 1
    copies, texts = pair.repeated(count), torch.arange(len(pair.batch), device=model.device) * count
    effects: dict[Component, Tensor] = {}
    for entry in residual_stream(model, pair.batch, range(arch.n_layers), base):
        senders = [component for component in nodes(arch) if component.layer == entry.layer]
        rows = replace(entry, suffix=entry.suffix.repeat_interleave(count, 0))
        patches: dict[Place, list[tuple[Tensor, slice]]] = {}
        for number, sender in enumerate(senders):
            patches.setdefault(place(sender), []).append((texts + number, columns(sender, arch)))
        here = {at: _senders(todo, outputs[at]) for at, todo in patches.items()}
        later = {at: _constant(frozen[at].repeat_interleave(count, 0)) for at in attention[entry.layer + 1 :]}
        leads = copies.lead(model, rows, hooks(model, {**here, **later})).view(len(pair.batch), count)
        effects |= {sender: leads[:, number] - before for number, sender in enumerate(senders)}
    return Effects(effects, before, away)


@torch.no_grad()
def _into_stream(model: LanguageModel, pair: Pair, base: Entry, source: Entry, receiver: int) -> Effects:
    there, away = component_outputs(model, pair, source)
    here, before = component_outputs(model, pair, base)
    (entry,) = residual_stream(model, pair.batch, [receiver], base)
    effects: dict[Component, Tensor] = {}
    for sender in (Component(layer, "mlp") for layer in range(receiver)):
        moved = replace(entry, suffix=entry.suffix + there[place(sender)] - here[place(sender)])
        effects[sender] = pair.lead(model, moved) - before
    return Effects(effects, before, away)


def _keeper(at: Place, kept: dict[Place, Tensor]) -> Callable[[Tensor], None]:
    return lambda tensor: kept.update({at: tensor})


def _constant(value: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda _tensor: value


def _senders(todo: Sequence[tuple[Tensor, slice]], source: Tensor) -> Callable[[Tensor], Tensor]:
    def patch(tensor: Tensor) -> Tensor:
        patched = tensor.clone()
        for rows, part in todo:
            patched[rows, :, part] = source[..., part]
        return patched

    return patch
