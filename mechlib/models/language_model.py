"""A loaded model: network, tokenizer, sizes."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from mechlib.components import MATRICES, Architecture, modules
from mechlib.models.families import Family, architecture, family
from mechlib.models.fused import take_apart
from mechlib.models.recognize import Dtype
from mechlib.models.table import ModelError, ModelSpec


@dataclass(frozen=True)
class LanguageModel:
    """A Hugging Face causal language model in evaluation mode, with what the library asks of it.

    ``arithmetic``: of the matrix products in its layers, whatever its weights are stored in.
    """

    spec: ModelSpec
    network: Any
    tokenizer: Any
    architecture: Architecture
    fingerprint: str
    arithmetic: Dtype = "float32"

    @property
    def name(self) -> str:
        """Short name: a folder of results is called so."""
        return self.spec.name

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device

    @property
    def family(self) -> Family:
        """What is particular to models of its kind."""
        return family(self.network.config)

    @property
    def config(self) -> Any:
        """The text model's Hugging Face configuration."""
        return self.network.config.get_text_config()

    @property
    def layers(self) -> Any:
        """The decoder layers, in order."""
        return self.network.base_model.get_submodule(self.family.layers)

    @property
    def final_norm(self) -> Any:
        """The norm over the residual stream after the last layer."""
        return self.network.base_model.get_submodule(self.family.final_norm)

    @property
    def parameters(self) -> Mapping[str, nn.Parameter]:
        """Weights by the names that components use."""
        ours = {own: name for name, own in self._modules.items()}
        split = ((name.rpartition("."), weight) for name, weight in self.network.named_parameters())
        return {f"{ours.get(module, module)}{dot}{leaf}": weight for (module, dot, leaf), weight in split}

    def module(self, parameter: str) -> Any:
        """The module that has the weight of this name."""
        name = parameter.rpartition(".")[0]
        return self.network.get_submodule(self._modules.get(name, name))

    @property
    def _modules(self) -> Mapping[str, str]:
        """Where each matrix is in the network, by the name that components use."""
        layers, own = f"{self.network.base_model_prefix}.{self.family.layers}", self.family.matrices.items()
        return {
            f"model.layers.{layer}.{MATRICES[role]}": f"{layers}.{layer}.{path}"
            for layer in range(self.architecture.n_layers)
            for role, path in own
        }

    def shared_copy(self) -> LanguageModel:
        """Another network around the very same weights: hooks on it leave this one alone, no memory is used."""
        kept = {id(tensor): tensor for tensor in (*self.network.parameters(), *self.network.buffers())}
        return replace(self, network=copy.deepcopy(self.network, kept))


def unchecked(network: Any, tokenizer: Any, spec: ModelSpec, fingerprint: str) -> LanguageModel:
    """A :class:`LanguageModel` around a loaded network, of which only sizes are checked; see :func:`mechlib.models.wrap`."""
    network = _text_part(network).eval()
    model = LanguageModel(spec, network, tokenizer, architecture(network.config), fingerprint)
    take_apart(model.layers, model.family.parts(model.architecture))
    network.requires_grad_(False)
    found = model.parameters
    for component in modules(model.architecture):
        for block in component.weights(model.architecture):
            shape = tuple(found[block.parameter].shape) if block.parameter in found else None
            if shape != block.shape:
                raise ModelError(f"{spec.name}: {block.parameter} should be {block.shape} and is {shape}")
    return model


def _text_part(network: Any) -> Any:
    """A multimodal network's language model and unembedding as a causal language model of its own, on the very same weights."""
    if network.config.get_text_config() is network.config:
        return network
    from transformers import AutoModelForCausalLM

    text = network.base_model.language_model
    with torch.device("meta"):
        part: Any = AutoModelForCausalLM.from_config(text.config, dtype=network.dtype)
    setattr(part, part.base_model_prefix, text)
    part.set_output_embeddings(network.get_output_embeddings())
    part.config = text.config
    return part
