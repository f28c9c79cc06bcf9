"""A loaded model: network, tokenizer, sizes. The one place that knows model families."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from mechlib.components import Architecture
from mechlib.models.table import ModelError, ModelSpec

# Families whose modules are named model.layers.N.{self_attn,mlp}.*_proj and which this code was
# tested on; another family needs a row here and a tiny model in the tests.
FAMILIES = ("gemma", "gemma2", "gemma3_text", "llama", "qwen2")


@dataclass(frozen=True)
class LanguageModel:
    """A Hugging Face causal language model in evaluation mode, with what the library asks of it."""

    spec: ModelSpec
    network: Any
    tokenizer: Any
    architecture: Architecture
    fingerprint: str

    @property
    def name(self) -> str:
        """Short name: a folder of results is called so."""
        return self.spec.name

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device

    @property
    def layers(self) -> Any:
        """The decoder layers, in order."""
        return self.network.model.layers

    @property
    def parameters(self) -> Mapping[str, nn.Parameter]:
        """Weights by the names that components use."""
        return dict(self.network.named_parameters())

    def shared_copy(self) -> LanguageModel:
        """Another network around the very same weights: hooks on it leave this one alone, no memory is used."""
        kept = {id(tensor): tensor for tensor in (*self.network.parameters(), *self.network.buffers())}
        return replace(self, network=copy.deepcopy(self.network, kept))

    def standalone_copy(self) -> LanguageModel:
        """Another network on the same weights as they are now: an edit applied to this one later does not show in it."""
        kept: dict[int, Any] = {id(buffer): buffer for buffer in self.network.buffers()}
        kept |= {id(weight): nn.Parameter(weight.data, requires_grad=False) for weight in self.network.parameters()}
        return replace(self, network=copy.deepcopy(self.network, kept))


def architecture(config: Any) -> Architecture:
    """Sizes from a Hugging Face configuration; raises :class:`ModelError` for an untested family."""
    text = config.get_text_config()
    if text.model_type not in FAMILIES:
        raise ModelError(f"models of type '{text.model_type}' are not supported (supported: {', '.join(FAMILIES)})")
    heads = text.num_attention_heads
    return Architecture(
        n_layers=text.num_hidden_layers,
        n_heads=heads,
        n_key_value_heads=text.num_key_value_heads or heads,
        d_model=text.hidden_size,
        d_head=getattr(text, "head_dim", None) or text.hidden_size // heads,
        d_mlp=text.intermediate_size,
    )


def wrap(network: Any, tokenizer: Any, spec: ModelSpec, fingerprint: str) -> LanguageModel:
    """A :class:`LanguageModel` around a loaded network, checked against what components expect of it."""
    network.eval()
    network.requires_grad_(False)
    model = LanguageModel(spec, network, tokenizer, architecture(network.config), fingerprint)
    from mechlib.components import modules

    found = model.parameters
    for component in modules(model.architecture):
        for block in component.weights(model.architecture):
            shape = tuple(found[block.parameter].shape) if block.parameter in found else None
            if shape != block.shape:
                raise ModelError(f"{spec.name}: {block.parameter} should be {block.shape} and is {shape}")
    return model
