"""First-order estimates of activation patching from one backward pass (Nanda 2023), the paper's own variant, and two improvements."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib import checks
from mechlib.components import Architecture, heads_and_mlps, key_value_groups
from mechlib.facts import Prompt
from mechlib.models.forward import Entry
from mechlib.models.hooks import Part, Place, hooks
from mechlib.models.language_model import LanguageModel
from mechlib.patching.pairs import Pair
from mechlib.patching.relevance import relevance_rules
from mechlib.patching.scores import Scores
from mechlib.patching.sweep import Effects, SweepConfig, keeping, sweep

Slope = Literal["gradient", "relevance"]
_OUTPUTS: tuple[Part, ...] = ("heads", "mlp")
_INPUTS: tuple[Part, ...] = ("queries", "keys", "values", "mlp_in")


def attribution_patching(
    model: LanguageModel, prompts: Sequence[Prompt], *, inputs: bool = False, integration_steps: int = 0, slope: Slope = "gradient",
    **settings: Any,
) -> Scores:
    """Slope times (source minus base) output, summed over positions, for each head and MLP.

    Same directions, normalization and sign as :func:`activation_patching`, which it approximates.
    The paper's variant is ``noise``, corrupted by random tokens, with the gradient at the base run. With ``inputs`` it is the
    one of the released code, which scores what components read as well and adds it up: a head's queries and what it
    writes, an MLP's output and the stream that it alone reads, before its norm. Keys and values belong to a group of
    heads, which gets their score (``L7.kv0``); over a layer the sum is the released code's, which gives each head a share.
    With ``integration_steps`` the gradient is averaged over that many points between the base's and
    the source's embeddings (EAP-IG, inputs; Hanna et al. 2024). ``relevance`` takes the slope from
    relevance propagation instead (RelP, Jafari et al. 2025; see :mod:`mechlib.patching.relevance`).
    ``settings`` are those of :class:`SweepConfig`, but with 16 prompts in a batch if not given.
    Raises :class:`mechlib.checks.ParameterError` for another ``slope``, fewer steps than none, and relevance of ``inputs``:
    it holds patterns constant, so queries and keys have none.
    """
    checks.choice("slope", slope, get_args(Slope))
    checks.whole("integration_steps", integration_steps, least=0)
    if inputs and slope == "relevance":
        raise checks.ParameterError("inputs=True with slope='relevance': relevance propagation holds attention patterns constant, so "
                                    "nothing flows back into queries and keys; take slope='gradient'")  # fmt: skip
    defaults: dict[str, Any] = {"batch_size": 16}
    config = SweepConfig(**(defaults | settings))
    points = [(step + 0.5) / integration_steps for step in range(integration_steps)] or [0.0]
    name = "attribution patching" if slope == "gradient" else "relevance patching"
    name += f", {integration_steps} steps" if integration_steps else ""
    name += ", inputs" if inputs else ""
    parts = (*_OUTPUTS, *_INPUTS) if inputs else _OUTPUTS

    def method(working: LanguageModel, pair: Pair, base: Entry, source: Entry) -> Effects:
        return _effects(working, pair, base, source, parts, points, slope)

    return sweep(name, method, model, prompts, config)


def _effects(
    model: LanguageModel, pair: Pair, base: Entry, source: Entry, parts: Sequence[Part], points: Sequence[float], slope: Slope
) -> Effects:
    with torch.no_grad():
        in_source, of_source = _activations(model, pair, source, parts)
        in_base, of_base = _activations(model, pair, base, parts) if points != [0.0] else (dict[Place, Tensor](), of_source)
    slopes = {place: torch.zeros_like(tensor) for place, tensor in in_source.items()}
    for point in points:
        # The weights are frozen: gradients flow because the stream that enters the first layer asks for them.
        stream = torch.lerp(base.stream, source.stream, point).requires_grad_(True)
        with relevance_rules(model) if slope == "relevance" else nullcontext():
            here, differences = _activations(model, pair, Entry(base.layer, stream), parts)
            gradients = torch.autograd.grad(differences.sum(), list(here.values()))
        for place, gradient in zip(here, gradients, strict=True):
            slopes[place] += gradient / len(points)
        if not in_base:
            in_base, of_base = {place: tensor.detach() for place, tensor in here.items()}, differences.detach()
    changes = {place: slopes[place].float() * (in_source[place] - in_base[place]) for place in slopes}
    arch = model.architecture
    scored = (*heads_and_mlps(arch), *(key_value_groups(arch) if "keys" in parts else ()))
    positions = pair.by_class(_of_components(arch, changes))
    return Effects(scored, positions.sum(2), of_base, of_source, positions)


def _activations(
    model: LanguageModel, pair: Pair, entry: Entry, parts: Sequence[Part]
) -> tuple[dict[Place, Tensor], Float[Tensor, " text"]]:
    """One run: some parts of every layer, and each text's logit difference."""
    found: dict[Place, Tensor] = {}

    def branching(place: Place) -> Callable[[Tensor], Tensor]:
        # The rest of the layer reads the same stream: a copy for the MLP alone has the slope of what the MLP alone reads.
        return lambda tensor: found.setdefault(place, tensor.clone())

    places: list[Place] = [(layer, part) for layer in range(model.architecture.n_layers) for part in parts]
    watched = {place: branching(place) if place[1] == "mlp_in" else keeping(place, found) for place in places}
    return found, pair.logit_difference(model, entry, hooks(model, watched))


def _of_components(arch: Architecture, changes: Mapping[Place, Tensor]) -> Float[Tensor, "row node component"]:
    """Sums over the dimensions and parts of each component: heads and MLPs in their order, then each group's keys and values."""

    def sums(layer: int, count: int, *parts: Part) -> Tensor:
        there = [changes[layer, part] for part in parts if (layer, part) in changes]
        return torch.stack([change.unflatten(-1, (count, -1)).sum(-1) for change in there]).sum(0)

    layers = range(arch.n_layers)
    own = [part for layer in layers for part in (sums(layer, arch.n_heads, "heads", "queries"), sums(layer, 1, "mlp", "mlp_in"))]
    shared = [sums(layer, arch.n_key_value_heads, "keys", "values") for layer in layers if (layer, "keys") in changes]
    return torch.cat([*own, *shared], -1)
