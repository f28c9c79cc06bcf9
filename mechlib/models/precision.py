"""Arithmetic in bfloat16 where it is several times as fast, with a float32 residual stream."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from mechlib.models.language_model import LanguageModel
from mechlib.models.recognize import Dtype
from mechlib.models.table import ModelError

Precision = Dtype


def fast_precision() -> Precision:
    """The precision where nobody asked for one: ``MECHLIB_PRECISION``, else what is fast on this machine.

    That is ``bfloat16`` on an accelerator or a processor with instructions for its products, else
    ``float32``: without such instructions products in bfloat16 take several times as long.
    Raises :class:`mechlib.models.ModelError` if the variable names another.
    """
    if asked := os.environ.get("MECHLIB_PRECISION"):
        if asked not in get_args(Precision):
            raise ModelError(f"MECHLIB_PRECISION={asked}: choose {' or '.join(get_args(Precision))}")
        return "float32" if asked == "float32" else "bfloat16"
    # There is no public way to ask.
    instructions = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # pyright: ignore[reportPrivateUsage]
    return "bfloat16" if torch.accelerator.is_available() or instructions else "float32"


def in_precision(model: LanguageModel, precision: Precision) -> LanguageModel:
    """A copy whose weights are in ``precision``; those that need no conversion are shared.

    ``float32`` converts all weights, ``bfloat16`` only those of linear layers, and those of layer norms to the stream's
    float32. That is done once, not in every forward pass. The residual stream is float32 in both, however the model is stored.
    """
    twin = replace(model.shared_copy(), arithmetic=precision)
    converted: dict[int, nn.Parameter] = {}  # an unembedding can be tied to the embedding
    for module in twin.network.modules():
        if precision == "bfloat16" and not isinstance(module, (nn.Linear, nn.LayerNorm)):
            continue
        wanted = torch.bfloat16 if precision == "bfloat16" and isinstance(module, nn.Linear) else torch.float32
        for name, weight in module.named_parameters(recurse=False):
            if weight.dtype != wanted:
                new = converted.setdefault(id(weight), nn.Parameter(weight.detach().to(wanted), requires_grad=False))
                setattr(module, name, new)
    twin.network.get_input_embeddings().register_forward_hook(lambda _module, _inputs, embedded: embedded.float())
    return twin


def multiplying(model: LanguageModel, precision: Precision | None) -> LanguageModel:
    """The same network and weights, with products in ``precision``; ``None``: in the one that is fast on the machine."""
    return replace(model, arithmetic=precision or fast_precision())


def cast_once(model: LanguageModel) -> LanguageModel:
    """A copy whose linear weights are in the format that its products are computed in, instead of being cast in each of them."""
    return in_precision(model, "bfloat16") if model.arithmetic == "bfloat16" else model.shared_copy()


@contextmanager
def computing(model: LanguageModel, precision: Precision) -> Generator[None]:
    """Matrix products in bfloat16 where asked for, everything else in float32."""
    with torch.autocast(model.device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext():
        yield


def cast_on_use(module: nn.Linear) -> None:
    """Let a module with a float32 weight multiply in bfloat16, casting in each product and keeping no cast.

    Autocast keeps the casts of all weights that train until the backward pass is over: half as much
    memory again as the weights themselves. A product has the same bits; the gradients of several products with one weight are
    added in float32 here, in bfloat16 there.
    """
    vars(module)["forward"] = partial(_product, module)


def _product(module: nn.Linear, inputs: Tensor) -> Tensor:
    bias = None if module.bias is None else module.bias.to(torch.bfloat16)  # pyright: ignore[reportUnnecessaryComparison]
    return _CastOnUse.apply(inputs, module.weight, bias)


class _CastOnUse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        low = inputs.to(torch.bfloat16)
        ctx.save_for_backward(low, weight)
        ctx.format = inputs.dtype
        return linear(low, weight.to(torch.bfloat16), bias)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, Tensor, None]:
        low, weight = ctx.saved_tensors
        slope = upstream[0].to(torch.bfloat16)
        towards_inputs = (slope @ weight.to(torch.bfloat16)).to(ctx.format)
        towards_weight = (slope.flatten(0, -2).T @ low.flatten(0, -2)).to(weight.dtype)
        return towards_inputs, towards_weight, None
