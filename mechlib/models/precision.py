"""Arithmetic in bfloat16 where it is several times as fast, with a float32 residual stream."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from typing import Literal

import torch
from torch import nn

from mechlib.models.language_model import LanguageModel

Precision = Literal["float32", "bfloat16"]


def in_precision(model: LanguageModel, precision: Precision) -> LanguageModel:
    """A copy that shares every weight it can: ``float32`` converts what is not, ``bfloat16`` only the matrices of products.

    Converted once, they are not converted again in every forward pass. The residual stream is float32
    in both, however the model is stored.
    """
    twin, wanted = model.shared_copy(), torch.float32 if precision == "float32" else torch.bfloat16
    converted: dict[int, nn.Parameter] = {}  # an unembedding can be tied to the embedding
    for module in twin.network.modules():
        if precision == "bfloat16" and not isinstance(module, nn.Linear):
            continue
        for name, weight in module.named_parameters(recurse=False):
            if weight.dtype != wanted:
                new = converted.setdefault(id(weight), nn.Parameter(weight.detach().to(wanted), requires_grad=False))
                setattr(module, name, new)
    twin.network.get_input_embeddings().register_forward_hook(lambda _module, _inputs, embedded: embedded.float())
    return twin


@contextmanager
def computing(model: LanguageModel, precision: Precision) -> Generator[None]:
    """Matrix products in bfloat16 where asked for, everything else in float32."""
    with torch.autocast(model.device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext():
        yield
