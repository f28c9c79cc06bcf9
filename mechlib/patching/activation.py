"""Exact activation patching (causal tracing is its denoising direction under noise).

One forward pass would be needed for each component and prompt. Here all components of a layer are
patched in copies of the batch at once, and each layer starts from the residual stream of the base
run, so the layers below are not computed again. Both are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mechlib.components import Architecture, heads_and_mlps, modules
from mechlib.facts import Prompt
from mechlib.models.families import Output
from mechlib.models.forward import Entry, residual_stream
from mechlib.models.hooks import Place, hooks
from mechlib.models.language_model import LanguageModel
from mechlib.patching.pairs import POSITIONS, Pair
from mechlib.patching.scores import Scores
from mechlib.patching.sweep import Effects, SweepConfig, component_outputs, patching, sweep

# Which copy of the batch has which part of an output patched.
Sites = Mapping[Output, Bool[Tensor, "copy #row #node #width"]]


def activation_patching(
    model: LanguageModel, prompts: Sequence[Prompt], *, by_position: bool = False, redraw: bool = False, **settings: Any
) -> Scores:
    """Effect on the logit difference of patching each head and each MLP at all positions.

    ``by_position`` patches whole attention layers and MLPs instead, at all positions and at each
    class of positions alone. ``redraw`` corrupts every patched run anew, while the unpatched
    corrupted run is drawn once, as in the authors' released code; it needs ``denoise``. ``settings``
    are those of :class:`SweepConfig`.
    """
    config = SweepConfig(**settings)
    if redraw and config.direction != "denoise":
        raise ValueError("redraw: only a corrupted run that is patched (denoise) can be drawn anew")

    def method(working: LanguageModel, pair: Pair, base: Entry, source: Entry) -> Effects:
        return _effects(working, pair, base, source, by_position, redraw)

    return sweep("activation patching", method, model, prompts, config)


@torch.no_grad()
def _effects(model: LanguageModel, pair: Pair, base: Entry, source: Entry, by_position: bool, redraw: bool) -> Effects:
    outputs, of_source = component_outputs(model, pair, source, attention=by_position)
    of_base = pair.logit_difference(model, base)
    sites = _modules_by_position(pair) if by_position else heads_and_mlp(model.architecture, model.device)
    times = len(sites["mlp"])
    copies, found = pair.repeated(times), list[Tensor]()
    for entry in residual_stream(model, pair.packed, range(model.architecture.n_layers), base):
        start = _redrawn(model, pair, copies, entry.layer, times) if redraw else entry.repeated(times)
        patched = _patched(model, copies, start, sites, outputs)
        found.append(patched.view(times, -1) - of_base)
    if not by_position:
        return Effects(heads_and_mlps(model.architecture), torch.cat(found), of_base, of_source)
    # Of each module: the whole, then one class of positions after the other.
    effects = torch.cat(found).unflatten(0, (-1, 1 + len(POSITIONS)))
    return Effects(modules(model.architecture), effects[:, 0], of_base, of_source, effects[:, 1:].transpose(1, 2))


def heads_and_mlp(arch: Architecture, device: torch.device) -> Sites:
    """One copy for each head of a layer, then one for its MLP."""
    copies = torch.eye(arch.n_heads + 1, dtype=torch.bool, device=device)
    heads = copies[:, : arch.n_heads].repeat_interleave(arch.d_head, 1)
    return {"heads": heads[:, None, None], "mlp": copies[:, None, None, arch.n_heads :]}


def _modules_by_position(pair: Pair) -> Sites:
    """For attention, then for the MLP, a copy patched at all positions and one for each class of them."""
    where = torch.stack([torch.ones_like(pair.classes, dtype=torch.bool), *(pair.classes == index for index in range(len(POSITIONS)))])
    where = where[..., None]
    nowhere = torch.zeros_like(where)
    return {"attn": torch.cat([where, nowhere]), "mlp": torch.cat([nowhere, where])}


def _patched(
    model: LanguageModel, copies: Pair, start: Entry, sites: Sites, outputs: Mapping[Place, Tensor]
) -> Float[Tensor, " text"]:
    """Logit differences of all copies of the base run, each with its own part of one layer's outputs patched."""
    return copies.logit_difference(model, start, hooks(model, patches(start.layer, sites, outputs)))


def patches(layer: int, sites: Sites, outputs: Mapping[Place, Tensor]) -> dict[Place, Callable[[Tensor], Tensor]]:
    """Functions for :func:`hooks` that put one layer's ``outputs`` into those copies of a run that ``sites`` names."""
    return {(layer, output): patching(outputs[layer, output], where) for output, where in sites.items()}


def _redrawn(model: LanguageModel, pair: Pair, copies: Pair, layer: int, times: int) -> Entry:
    """The stream entering ``layer`` in ``times`` corrupted runs of each text, each with a draw of its own."""
    draws = [pair.corrupt(1 + layer * times + number).stream for number in range(times)]
    (entry,) = residual_stream(model, copies.packed, [layer], Entry(0, torch.cat(draws)))
    return entry
