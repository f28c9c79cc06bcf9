"""Load a model by name and fingerprint it without loading."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from mechlib.models.cache import sha256
from mechlib.models.embedded import embedded_fingerprint
from mechlib.models.language_model import LanguageModel
from mechlib.models.prepare import prepare
from mechlib.models.reading import read_tokenizer
from mechlib.models.self_check import wrap
from mechlib.models.spread import cards, spread, weight_bytes
from mechlib.models.table import ModelError, ModelSpec, did_you_mean
from mechlib.models.weights import read_network

# What systems answer where a file must not be written or read, or there is no room for it.
_UNWRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT)
# Weights, configuration and tokenizer: what transformers may read of a folder.
_READ = frozenset({".safetensors", ".json", ".model", ".txt", ".jinja", ".tiktoken", ".spm", ".bpe", ".vocab", ".codes"})


def fingerprint(spec: ModelSpec) -> str:
    """What identifies the weights: a content hash, or the commit of a hub repository at the spec's revision.

    That of a folder covers every file directly in it that a model is read from and every shard that its index names, that of a
    GGUF file is the file's, whatever converts it. Raises :class:`ModelError` if something cannot be read.
    """
    if spec.source == "embedded":
        return embedded_fingerprint(spec.location)
    if spec.source == "hub":
        from huggingface_hub import hf_hub_download

        # The cache keeps the files of a commit in a folder that is called so.
        return Path(_from_hub(spec, lambda: hf_hub_download(spec.location, "config.json", revision=spec.revision))).parent.name
    path, digest = Path(spec.location), hashlib.sha256()
    try:
        for name in [path.name] if spec.source == "gguf" else _read_of(path):
            digest.update(f"{name} {sha256(path if spec.source == 'gguf' else path / name)}".encode())
    except OSError as error:
        raise ModelError(f"{error.filename or path} cannot be read: {error.strerror or error}") from None
    return digest.hexdigest()


def on_disk(spec: ModelSpec) -> bool:
    """Whether a model's fingerprint can be had without asking the hub, which asks again and again where it cannot be reached."""
    if spec.source != "hub":
        return True
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(spec.location, "config.json", revision=spec.revision), str)


def _read_of(folder: Path) -> list[str]:
    """Files directly in a folder, and what the index of its weights names elsewhere."""
    found = {path.name for path in folder.iterdir() if _is_read(path)}
    try:
        index = json.loads((folder / "model.safetensors.index.json").read_text(encoding="utf-8"))
        found |= {str(name) for name in index["weight_map"].values() if (folder / str(name)).is_file()}
    except (FileNotFoundError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass  # no index, or one that is refused when the weights are read
    return sorted(found)


def _is_read(path: Path) -> bool:
    return path.suffix in _READ and not path.name.startswith(".") and path.is_file()


def load(spec: ModelSpec, device: torch.device | None = None, say: Callable[[str], None] = lambda _: None) -> LanguageModel:
    """Load weights and tokenizer in the spec's dtype; raises :class:`ModelError` with one clear line.

    Without a ``device``: on the machine's accelerator, or on several of them if its weights need so many.
    """
    identity, location = fingerprint(spec), prepare(spec, say)

    def read(**options: Any) -> tuple[Any, Any]:
        network = read_network(location, dtype=getattr(torch, spec.dtype), use_safetensors=True, **options)
        return network, read_tokenizer(location, network.get_input_embeddings().num_embeddings, **options)

    def read_commit() -> tuple[Any, Any]:
        # The very commit: a branch may have moved since. What is on the disk needs no hub, which may not answer.
        try:
            return read(revision=identity, local_files_only=True)
        except Exception:  # not all of it is on the disk
            return read(revision=identity)

    network, tokenizer = _from_hub(spec, read_commit if spec.source == "hub" else read)
    places = [device] if device else cards(default_device(), weight_bytes(network))
    if len(places) == 1:
        return wrap(network.to(places[0]), tokenizer, spec, identity)
    return spread(wrap(network, tokenizer, spec, identity), places)


def default_device() -> torch.device:
    """The machine's accelerator, else its processor."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.empty(0).device


def _from_hub(spec: ModelSpec, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except ModelError:
        raise
    except Exception as error:  # the readers raise many kinds
        if isinstance(error, OSError) and error.errno in _UNWRITABLE:
            raise ModelError(_unwritable(spec, error)) from None
        text = next(iter(str(error).splitlines()), type(error).__name__)
        raise ModelError(_hub_fault(spec, str(error), text) if spec.source == "hub" else _fault(spec, text)) from None


def _unwritable(spec: ModelSpec, error: OSError) -> str:
    place = f"{error.filename} cannot be read or written" if error.filename else "it cannot be read or written"
    helps = "make room there and make it writable, or set HF_HOME to a folder that is" if spec.source == "hub" else "make it readable"
    return f"{spec.location}: {place} ({error.strerror}): {helps}"


def _fault(spec: ModelSpec, text: str) -> str:
    return f"{spec.location} cannot be loaded (truncated or altered?): {text}"


def _hub_fault(spec: ModelSpec, whole: str, line: str) -> str:
    """What is wrong with a model of the hub, in one line."""
    if "gated" in whole.lower() or "401" in whole or "403" in whole:
        return f"{spec.location} is gated: accept its licence on the hub, then set HF_TOKEN (or run 'hf auth login')"
    if "not a valid git identifier" in whole or "revision not found" in whole.lower():
        return f"{spec.location} has no revision {spec.revision}: give a branch, tag or commit that it has"
    # "cannot find ... in the cached files", "not a valid model identifier"
    if any(word in whole.lower() for word in ("model identifier", "connect", "offline", "reach", "resolve", "cached", "not found")):
        meant = did_you_mean(spec.location)
        return f"{spec.location} cannot be reached: check the name and the network, or give a local folder{meant}"
    return f"{spec.location} cannot be loaded: {line}"
