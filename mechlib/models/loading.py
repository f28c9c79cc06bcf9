"""Load a model by name and fingerprint it without loading."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch

from mechlib.models.embedded import embedded_fingerprint, embedded_model, gguf_model, sha256
from mechlib.models.language_model import LanguageModel, wrap
from mechlib.models.table import ModelError, ModelSpec


def fingerprint(spec: ModelSpec) -> str:
    """What identifies the weights: a content hash, or the commit of a hub repository."""
    if spec.source == "embedded":
        return embedded_fingerprint()
    if spec.source == "hub":
        from transformers import AutoConfig

        config: Any = _from_hub(spec, lambda: AutoConfig.from_pretrained(spec.location))
        return str(config._commit_hash)
    path = Path(spec.location)
    files = [path] if spec.source == "gguf" else sorted(p for p in path.iterdir() if p.suffix in (".safetensors", ".json"))
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name} {_hash_of(str(file), file.stat().st_mtime_ns)}".encode())
    return digest.hexdigest()


@cache
def _hash_of(path: str, _modified: int) -> str:
    """Hash of a file, taken once a process as long as it is not modified."""
    return sha256(Path(path))


def load(spec: ModelSpec, device: torch.device | None = None, report: Callable[[str], None] = lambda _: None) -> LanguageModel:
    """Load weights and tokenizer in the spec's dtype; raises :class:`ModelError` with one clear line."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    identity = fingerprint(spec)
    if spec.source == "embedded":
        location = str(embedded_model(report))
    elif spec.source == "gguf":
        location = str(gguf_model(Path(spec.location), report))
    else:
        location = spec.location
    dtype = getattr(torch, spec.dtype)

    def read() -> tuple[Any, Any]:
        network = AutoModelForCausalLM.from_pretrained(location, dtype=dtype, use_safetensors=True)
        return network, AutoTokenizer.from_pretrained(location)

    network, tokenizer = _from_hub(spec, read)
    return wrap(network.to(device or default_device()), tokenizer, spec, identity)


def default_device() -> torch.device:
    """The machine's accelerator, else its processor."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.empty(0).device


def _from_hub(spec: ModelSpec, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception as error:
        text = str(error)
        if spec.source == "hub" and ("gated" in text.lower() or "401" in text or "403" in text):
            raise ModelError(
                f"{spec.location} is gated: accept its licence on the hub, then set HF_TOKEN (or run 'hf auth login')"
            ) from None
        if spec.source == "hub":
            raise ModelError(f"{spec.location} cannot be reached: check the name and the network, or give a local folder") from None
        raise ModelError(f"{spec.location} cannot be loaded (truncated or altered?): {text.splitlines()[0]}") from None
