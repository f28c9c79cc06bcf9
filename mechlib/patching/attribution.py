"""First-order estimates of activation patching from one backward pass (Nanda 2023), and two improvements on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib import checks
from mechlib.components import Architecture, heads_and_mlps
from mechlib.facts import Prompt
from mechlib.models.forward import Entry
from mechlib.models.hooks import Place
from mechlib.models.language_model import LanguageModel
from mechlib.patching.pairs import Pair
from mechlib.patching.relevance import relevance_rules
from mechlib.patching.scores import Scores
from mechlib.patching.sweep import Effects, SweepConfig, component_outputs, sweep

Slope = Literal["gradient", "relevance"]


def attribution_patching(
    model: LanguageModel, prompts: Sequence[Prompt], *, integration_steps: int = 0, slope: Slope = "gradient", **settings: Any
) -> Scores:
    """Slope times (source minus base) output, summed over positions, for each head and MLP.

    Same directions, normalization and sign as :func:`activation_patching`, which it approximates.
    The paper's variant is ``noise``, corrupted by random tokens, with the gradient at the base run.
    With ``integration_steps`` the gradient is averaged over that many points between the base's and
    the source's embeddings (EAP-IG, inputs; Hanna et al. 2024). ``relevance`` takes the slope from
    relevance propagation instead (RelP, Jafari et al. 2025; see :mod:`mechlib.patching.relevance`).
    ``settings`` are those of :class:`SweepConfig`, but with 16 prompts in a batch if not given.
    Raises :class:`mechlib.checks.ParameterError` for another ``slope`` and fewer steps than none.
    """
    checks.choice("slope", slope, get_args(Slope))
    checks.whole("integration_steps", integration_steps, least=0)
    defaults: dict[str, Any] = {"batch_size": 16}
    config = SweepConfig(**(defaults | settings))
    points = [(step + 0.5) / integration_steps for step in range(integration_steps)] or [0.0]
    name = "attribution patching" if slope == "gradient" else "relevance patching"
    name += f", {integration_steps} steps" if integration_steps else ""

    def method(working: LanguageModel, pair: Pair, base: Entry, source: Entry) -> Effects:
        return _effects(working, pair, base, source, points, slope)

    return sweep(name, method, model, prompts, config)


def _effects(model: LanguageModel, pair: Pair, base: Entry, source: Entry, points: Sequence[float], slope: Slope) -> Effects:
    with torch.no_grad():
        in_source, of_source = component_outputs(model, pair, source)
        in_base, of_base = component_outputs(model, pair, base) if points != [0.0] else (dict[Place, Tensor](), of_source)
    slopes = {place: torch.zeros_like(tensor) for place, tensor in in_source.items()}
    for point in points:
        # The weights are frozen: gradients flow because the stream that enters the first layer asks for them.
        stream = torch.lerp(base.stream, source.stream, point).requires_grad_(True)
        with relevance_rules(model) if slope == "relevance" else nullcontext():
            outputs, differences = component_outputs(model, pair, Entry(base.layer, stream))
            gradients = torch.autograd.grad(differences.sum(), list(outputs.values()))
        for place, gradient in zip(outputs, gradients, strict=True):
            slopes[place] += gradient / len(points)
        if not in_base:
            in_base, of_base = {place: tensor.detach() for place, tensor in outputs.items()}, differences.detach()
    changes = {place: slopes[place].float() * (in_source[place] - in_base[place]) for place in slopes}
    positions = pair.by_class(_of_components(model.architecture, changes))
    return Effects(heads_and_mlps(model.architecture), positions.sum(2), of_base, of_source, positions)


def _of_components(arch: Architecture, changes: Mapping[Place, Tensor]) -> Float[Tensor, "row node component"]:
    """Sums over the dimensions of each head and MLP, in the order of :func:`heads_and_mlps`."""
    sums: list[Tensor] = []
    for layer in range(arch.n_layers):
        sums += [changes[layer, "heads"].unflatten(-1, (arch.n_heads, arch.d_head)).sum(-1), changes[layer, "mlp"].sum(-1, keepdim=True)]
    return torch.cat(sums, -1)
