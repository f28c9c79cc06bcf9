"""|Gradient x weight|: how much each component's own weights matter to the answer, to first order.

It looks at weights where all other methods look at activations, so it needs no corrupted run, and
keys and values are scored too (SNIP, Lee et al. 2019; for unlearning WAGLE, Jia et al. 2024).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mechlib.components import Architecture, Component, Kind, heads_and_mlps, key_value_groups
from mechlib.facts import Prompt
from mechlib.models.language_model import LanguageModel
from mechlib.models.precision import Precision, computing, in_precision
from mechlib.patching.pairs import check_prompts, make_pair
from mechlib.patching.scores import Scores
from mechlib.patching.sweep import OnProgress, silent


def gradient_times_weight(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    *,
    seed: int = 0,
    precision: Precision = "float32",
    progress: OnProgress = silent,
) -> Scores:
    """Sum over a component's weights of |gradient of a prompt's logit difference x weight|, averaged over prompts.

    One backward pass a prompt: the gradient of several prompts at once would let them cancel each other, and
    a fact's products depend on who stands beside it. A score is the component's share of the sum over all
    heads, keys, values and MLPs. Nothing is corrupted and nothing drawn: ``corrupted`` equals ``clean``, and ``seed``
    changes nothing. Raises :class:`mechlib.facts.FactError` if there are no prompts or one has no other answer to compare with.
    """
    check_prompts(prompts)
    working, arch = in_precision(model, precision), model.architecture
    scored = (*heads_and_mlps(arch), *key_value_groups(arch))
    names = {block.parameter for component in scored for block in component.weights(arch)}
    weights = {name: _leaf(working, name) for name in sorted(names)}
    found, clean = list[Tensor](), list[Tensor]()
    for done, prompt in enumerate(prompts, start=1):
        pair = make_pair(working, [prompt], "tokens", seed)
        with computing(working, precision):
            (difference,) = pair.logit_difference(working, pair.clean)
        gradients = dict(zip(weights, torch.autograd.grad(difference, list(weights.values())), strict=True))
        found.append(_sums(arch, {name: (gradients[name] * weight.detach()).abs() for name, weight in weights.items()}))
        clean.append(difference.detach())
        progress(done, len(prompts))
    products, mean = torch.stack(found, 1).double(), torch.stack(clean).mean().item()
    shares, totals = products.sum(1) / products.sum(), products.sum(0)
    return Scores(
        method="gradient x weight",
        values=dict(zip(scored, shares.tolist(), strict=True)),
        clean=mean,
        corrupted=mean,
        effects=dict(zip(scored, map(tuple, products.tolist()), strict=True)),
        spans=tuple(totals.tolist()),
    )


def _sums(arch: Architecture, sizes: Mapping[str, Tensor]) -> Float[Tensor, " component"]:
    """Over the weights of each component, a few sums a layer however many heads: heads and MLPs in their order, then groups.

    They come to the device of the first layer: layers can lie on several.
    """

    def own(layer: int, kind: Kind, parts: int) -> Tensor:
        """The sums of a layer's components of one kind, of which it has so many: each has equal blocks of rows or of columns."""
        blocks = Component(layer, kind, None if kind == "mlp" else 0).weights(arch)
        by_row = [(sizes[block.parameter].sum(1) if block.columns is None else sizes[block.parameter].sum(0)) for block in blocks]
        return torch.stack([sums.unflatten(0, (parts, -1)).sum(1) for sums in by_row]).sum(0)

    layers = range(arch.n_layers)
    answering = [part for layer in layers for part in (own(layer, "head", arch.n_heads), own(layer, "mlp", 1))]
    parts = [*answering, *(own(layer, "kv", arch.n_key_value_heads) for layer in layers)]
    return torch.cat([part.to(parts[0].device) for part in parts])


def _leaf(model: LanguageModel, name: str) -> nn.Parameter:
    """The weight as a parameter of its own on the same memory, with gradients; other models may share the weight."""
    module = model.module(name)
    module.weight = nn.Parameter(module.weight.detach(), requires_grad=True)
    return module.weight
