"""|Gradient x weight|: how much each component's own weights matter to the answer, to first order.

It looks at weights where all other methods look at activations, so it needs no corrupted run, and
keys and values are scored too (SNIP, Lee et al. 2019; for unlearning WAGLE, Jia et al. 2024).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mechlib.components import Component, heads_and_mlps
from mechlib.facts import Prompt
from mechlib.models.language_model import LanguageModel
from mechlib.models.precision import Precision, computing, in_precision
from mechlib.patching.pairs import make_pair
from mechlib.patching.scores import Scores
from mechlib.patching.sweep import OnProgress, silent


def gradient_times_weight(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    *,
    seed: int = 0,
    precision: Precision = "float32",
    batch_size: int = 16,
    progress: OnProgress = silent,
) -> Scores:
    """Sum over a component's weights of |gradient of the batch's mean logit difference x weight|, averaged over batches.

    A score is the component's share of the sum over all heads, keys, values and MLPs. Nothing is
    corrupted: ``corrupted`` equals ``clean``. ``effects`` have one entry a batch.
    """
    working, arch = in_precision(model, precision), model.architecture
    groups = (Component(layer, "kv", group) for layer in range(arch.n_layers) for group in range(arch.n_key_value_heads))
    scored = (*heads_and_mlps(arch), *groups)
    names = {block.parameter for component in scored for block in component.weights(arch)}
    weights = {name: _leaf(working, name) for name in sorted(names)}
    batches: list[Tensor] = []
    clean: list[Tensor] = []
    for start in range(0, len(prompts), batch_size):
        pair = make_pair(working, prompts[start : start + batch_size], "tokens", seed + start)
        with computing(working, precision):
            differences = pair.logit_difference(working, pair.clean)
        gradients = dict(zip(weights, torch.autograd.grad(differences.mean(), list(weights.values())), strict=True))
        sizes = {name: (gradients[name] * weight.detach()).abs() for name, weight in weights.items()}
        batches.append(torch.stack([torch.stack([sizes[b.parameter][b.index].sum() for b in c.weights(arch)]).sum() for c in scored]))
        clean.append(differences.detach())
        progress(min(start + batch_size, len(prompts)), len(prompts))
    products, mean = torch.stack(batches, 1).double(), torch.cat(clean).mean().item()
    shares, totals = products.sum(1) / products.sum(), products.sum(0)
    return Scores(
        method="gradient x weight",
        values=dict(zip(scored, shares.tolist(), strict=True)),
        clean=mean,
        corrupted=mean,
        effects=dict(zip(scored, map(tuple, products.tolist()), strict=True)),
        spans=tuple(totals.tolist()),
    )


def _leaf(model: LanguageModel, name: str) -> nn.Parameter:
    """The weight as a parameter of its own on the same memory, with gradients; other models may share the weight."""
    module = model.network.get_submodule(name.rpartition(".")[0])
    module.weight = nn.Parameter(module.weight.detach(), requires_grad=True)
    return module.weight
