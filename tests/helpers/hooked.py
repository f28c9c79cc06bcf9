"""TransformerBridge around a copy of the network that shares the model's weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from mechlib.models.language_model import LanguageModel


@dataclass(frozen=True)
class HookedModel:
    """``bridge`` names the hook points; ``model`` runs the hooked network through the shared forward pass."""

    bridge: Any
    model: LanguageModel


def hooked(model: LanguageModel) -> HookedModel:
    """Boot a TransformerBridge. The model itself stays as it is: booting renames parameters in place."""
    from transformer_lens.model_bridge import TransformerBridge

    twin = model.shared_copy()
    twin.network.config.architectures = [type(twin.network).__name__]
    bridge: Any = TransformerBridge.boot_transformers(
        model.spec.location, hf_model=twin.network, tokenizer=model.tokenizer, device=str(model.device)
    )
    return HookedModel(bridge, replace(twin, network=bridge.original_model))
