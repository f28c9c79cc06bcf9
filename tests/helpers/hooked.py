"""TransformerBridge around a copy of the network that shares the model's weights, or around the plain one if matrices were taken apart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from mechlib.models.families import Family
from mechlib.models.fused import Joined
from mechlib.models.language_model import LanguageModel


@dataclass(frozen=True)
class HookedModel:
    """``bridge`` names the hook points; ``model`` runs the hooked network through the shared forward pass."""

    bridge: Any
    model: LanguageModel


class AsItWas(LanguageModel):
    """Around a plain network, in which nothing was taken apart."""

    @property
    def family(self) -> Family:
        """Its adapter, with the places of matrices that were only turned."""
        own = super().family
        turned = {own.matrices[roles[0]]: place for place, roles in own.fused.items() if len(roles) == 1}
        return replace(own, matrices={role: turned.get(place, place) for role, place in own.matrices.items()},
                       written_by={output: turned.get(place, place) for output, place in own.written_by.items()})  # fmt: skip


def hooked(model: LanguageModel) -> HookedModel:
    """Boot a TransformerBridge. The model itself stays as it is: booting renames parameters in place."""
    from transformer_lens.model_bridge import TransformerBridge

    twin = model.shared_copy()
    if any(isinstance(module, Joined) for module in twin.network.modules()):
        twin = AsItWas(**{**vars(twin), "network": as_it_was(twin.network)})
    twin.network.config.architectures = [type(twin.network).__name__]
    bridge: Any = TransformerBridge.boot_transformers(
        model.spec.location, hf_model=twin.network, tokenizer=model.tokenizer, device=str(model.device)
    )
    return HookedModel(bridge, replace(twin, network=bridge.original_model))


def as_it_was(network: Any) -> Any:
    """The plain network of transformers with the weights that a network would be saved with."""
    plain = type(network)(network.config).to(network.dtype).eval()
    plain.load_state_dict(network.state_dict())
    return plain.requires_grad_(False)
