"""Exact activation patching (causal tracing is its denoising direction under noise).

One forward pass would be needed for each component and prompt. Here all components of a layer are
patched in copies of the batch at once, and each layer starts from the residual stream of the base
run, so the layers below are not computed again. Both are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool
from torch import Tensor

from mechlib.components import Component, nodes
from mechlib.facts import Prompt
from mechlib.models.forward import Entry, residual_stream
from mechlib.models.hooks import Place, columns, hooks, place
from mechlib.models.language_model import LanguageModel
from mechlib.models.precision import Precision
from mechlib.patching.pairs import POSITIONS, Corruption, Pair
from mechlib.patching.scores import Scores
from mechlib.patching.sweep import Direction, Effects, Report, component_outputs, silent, sweep


@dataclass(frozen=True)
class _Site:
    """What one copy of the batch has patched: a component, at one class of positions or (``None``) at all."""

    component: Component
    position: int | None = None


def activation_patching(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    *,
    corruption: Corruption,
    direction: Direction,
    seed: int,
    by_position: bool = False,
    redraw: bool = False,
    precision: Precision = "float32",
    batch_size: int = 32,
    report: Report = silent,
) -> Scores:
    """Effect on the logit difference of patching each head and each MLP at all positions; see :func:`sweep`.

    ``by_position`` patches whole attention layers and MLPs instead, at all positions and at each
    class of positions alone. ``redraw`` corrupts every patched run anew, while the unpatched
    corrupted run is drawn once, as in the authors' released code; it needs ``denoise``.
    """
    if redraw and direction != "denoise":
        raise ValueError("redraw: only a corrupted run that is patched (denoise) can be drawn anew")

    def method(machine: LanguageModel, pair: Pair, base: Entry, source: Entry) -> Effects:
        return _patch(machine, pair, base, source, by_position, redraw)

    return sweep("activation patching", method, model, prompts, corruption=corruption, direction=direction, seed=seed,
                 batch_size=batch_size, report=report, precision=precision)  # fmt: skip


@torch.no_grad()
def _patch(model: LanguageModel, pair: Pair, base: Entry, source: Entry, by_position: bool, redraw: bool) -> Effects:
    outputs, away = component_outputs(model, pair, source, attention=by_position)
    before, layers = pair.lead(model, base), range(model.architecture.n_layers)
    wholes: dict[Component, Tensor] = {}
    parts: dict[Component, Tensor] = {}
    for entry in residual_stream(model, pair.batch, layers, base):
        sites = _sites(model, entry.layer, by_position)
        start = _redrawn(model, pair, entry.layer, len(sites)) if redraw else replace(entry, suffix=_copies(entry.suffix, len(sites)))
        effects = _patch_layer(model, pair, start, sites, outputs) - before[:, None]
        for number, site in enumerate(sites):
            if site.position is None:
                wholes[site.component] = effects[:, number]
                parts |= {site.component: effects[:, number + 1 : number + 1 + len(POSITIONS)]} if by_position else {}
    return Effects(wholes, before, away, parts)


def _sites(model: LanguageModel, layer: int, by_position: bool) -> list[_Site]:
    if not by_position:
        return [_Site(component) for component in nodes(model.architecture) if component.layer == layer]
    wholes = (Component(layer, "attn"), Component(layer, "mlp"))
    return [_Site(component, position) for component in wholes for position in (None, *range(len(POSITIONS)))]


def _patch_layer(model: LanguageModel, pair: Pair, start: Entry, sites: Sequence[_Site], outputs: dict[Place, Tensor]) -> Tensor:
    """Logit differences [text, site] of the base run with each of one layer's sites patched."""
    copies, texts = pair.repeated(len(sites)), torch.arange(len(pair.batch), device=model.device) * len(sites)
    everywhere = torch.ones_like(pair.positions, dtype=torch.bool)
    patches: dict[Place, list[tuple[Tensor, slice, Bool[Tensor, "text position"]]]] = {}
    for number, site in enumerate(sites):
        where = everywhere if site.position is None else pair.positions == site.position
        patches.setdefault(place(site.component), []).append((texts + number, columns(site.component, model.architecture), where))
    functions = {at: _patcher(outputs[at], todo) for at, todo in patches.items()}
    return copies.lead(model, start, hooks(model, functions)).view(len(pair.batch), len(sites))


def _patcher(source: Tensor, todo: Sequence[tuple[Tensor, slice, Tensor]]) -> Callable[[Tensor], Tensor]:
    def patch(tensor: Tensor) -> Tensor:
        patched = tensor.clone()
        for rows, part, where in todo:
            patched[rows, :, part] = torch.where(where[..., None], source[..., part], tensor[rows, :, part])
        return patched

    return patch


def _copies(suffix: Tensor, times: int) -> Tensor:
    return suffix.repeat_interleave(times, 0)


def _redrawn(model: LanguageModel, pair: Pair, layer: int, times: int) -> Entry:
    """The stream entering ``layer`` in as many corrupted runs of each text, each with a draw of its own."""
    draws = [pair.corrupt(1 + layer * times + number) for number in range(times)]
    stream = torch.stack([draw.suffix for draw in draws], 1).flatten(0, 1)
    (entry,) = residual_stream(model, pair.repeated(times).batch, [layer], replace(draws[0], suffix=stream))
    return entry
