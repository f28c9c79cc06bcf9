"""Load a model by name and fingerprint it without loading."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from mechlib.models.cache import sha256
from mechlib.models.embedded import embedded_fingerprint
from mechlib.models.language_model import LanguageModel
from mechlib.models.prepare import prepare
from mechlib.models.self_check import wrap
from mechlib.models.table import ModelError, ModelSpec
from mechlib.models.weights import read_network

# Weights, configuration and tokenizer: what transformers may read of a folder.
_READ = frozenset({".safetensors", ".json", ".model", ".txt", ".jinja", ".tiktoken", ".spm", ".bpe", ".vocab", ".codes"})


def fingerprint(spec: ModelSpec) -> str:
    """What identifies the weights: a content hash, or the commit of a hub repository.

    That of a folder covers every file directly in it that a model is read from, that of a GGUF file is
    the file's, whatever converts it. Raises :class:`ModelError` if something cannot be read.
    """
    if spec.source == "embedded":
        return embedded_fingerprint()
    if spec.source == "hub":
        from transformers import AutoConfig

        config: Any = _from_hub(spec, lambda: AutoConfig.from_pretrained(spec.location))
        return str(config._commit_hash)
    path, digest = Path(spec.location), hashlib.sha256()
    try:
        for file in [path] if spec.source == "gguf" else sorted(filter(_is_read, path.iterdir())):
            digest.update(f"{file.name} {sha256(file)}".encode())
    except OSError as error:
        raise ModelError(f"{error.filename or path} cannot be read: {error.strerror or error}") from None
    return digest.hexdigest()


def _is_read(path: Path) -> bool:
    return path.suffix in _READ and not path.name.startswith(".") and path.is_file()


def load(spec: ModelSpec, device: torch.device | None = None, say: Callable[[str], None] = lambda _: None) -> LanguageModel:
    """Load weights and tokenizer in the spec's dtype; raises :class:`ModelError` with one clear line."""
    from transformers import AutoTokenizer

    identity, location = fingerprint(spec), prepare(spec, say)

    def read() -> tuple[Any, Any]:
        network = read_network(location, dtype=getattr(torch, spec.dtype), use_safetensors=True)
        return network, AutoTokenizer.from_pretrained(location)

    network, tokenizer = _from_hub(spec, read)
    return wrap(network.to(device or default_device()), tokenizer, spec, identity)


def default_device() -> torch.device:
    """The machine's accelerator, else its processor."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.empty(0).device


def _from_hub(spec: ModelSpec, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except ModelError:
        raise
    except Exception as error:
        text = str(error) or type(error).__name__
        if spec.source == "hub" and ("gated" in text.lower() or "401" in text or "403" in text):
            raise ModelError(
                f"{spec.location} is gated: accept its licence on the hub, then set HF_TOKEN (or run 'hf auth login')"
            ) from None
        if spec.source == "hub":
            raise ModelError(f"{spec.location} cannot be reached: check the name and the network, or give a local folder") from None
        raise ModelError(f"{spec.location} cannot be loaded (truncated or altered?): {text.splitlines()[0]}") from None
