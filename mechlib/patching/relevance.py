"""Rules of layer-wise relevance propagation, for RelP (Jafari et al. 2025, arXiv 2508.21258).

They keep the forward pass and change what flows back, so that the network acts as the linear map it
is at this input. Norms divide by a constant (LN rule), an activation function multiplies by a
constant (identity rule), the two factors of a gated MLP share what flows back equally (half rule),
and attention patterns are constants (AH rule). Gradient times input then adds up to the output.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mechlib.models.language_model import LanguageModel

_Hook = Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]


@contextmanager
def relevance_rules(model: LanguageModel) -> Generator[None]:
    """Within the block, backward passes through the model propagate relevance instead of gradients."""
    rules = [(model.final_norm, "norm"), *(found for block in model.layers for found in model.family.rules(block))]
    with ExitStack() as stack:
        for module, rule in rules:
            stack.callback(module.register_forward_hook(_HOOKS[rule]).remove)
        yield


def _constant(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return output.detach()


def _half(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return (output + output.detach()) / 2


def _norm(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    (x,) = inputs
    if isinstance(module, nn.LayerNorm):  # to subtract the mean is linear
        x = x - x.mean(-1, keepdim=True)
        factor = torch.rsqrt(x.detach().float().square().mean(-1, keepdim=True) + module.eps) * module.weight
        return _straight(output, x, factor.to(output.dtype))
    epsilon = getattr(module, "eps", getattr(module, "variance_epsilon", 0.0))
    weight = module.forward(torch.ones_like(x[:1, :1])) * (1 + epsilon) ** 0.5
    factor = weight * torch.rsqrt(x.detach().float().square().mean(-1, keepdim=True) + epsilon)
    return _straight(output, x, factor.to(output.dtype))


def _activation(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    (x,) = inputs
    return _straight(output, x, torch.where(x == 0, torch.full_like(x, 0.5), output / x).detach())


def _gate(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    # The other half flows back through the other factor of the product.
    return _half(module, inputs, _activation(module, inputs, output))


def _straight(output: Tensor, x: Tensor, factor: Tensor) -> Tensor:
    """The value of ``output`` with the slope ``factor`` in ``x``."""
    return output.detach() + (x - x.detach()) * factor


_HOOKS: Mapping[str, _Hook] = {"norm": _norm, "constant": _constant, "activation": _activation, "gate": _gate, "half": _half}
