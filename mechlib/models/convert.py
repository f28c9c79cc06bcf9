"""GGUF weights to safetensors: read once, dequantize, check, and keep in the cache."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from mechlib.models.cache import cache_folder, kept
from mechlib.models.scaling import apply_scaling
from mechlib.models.table import ModelError
from mechlib.models.vocabulary import check_vocabulary
from mechlib.models.weights import quiet, read_network

CONVERTER = 2  # raise it when this file writes something else: every model is converted again
_CONVERTED = re.compile(r"[0-9a-f]{16}(-\d+(-[a-z]+-[\w.]+)+)?")  # all that this converter and earlier ones called their folders
_ROOM = 9  # bytes of a conversion for each of the file: 4 to 7 are written, and some to spare


def converted_folder(digest: str) -> Path:
    """Cache folder of the GGUF file with this SHA-256, as the installed versions of the packages convert it."""
    packages = "-".join(f"{name}-{version(name).split('+')[0]}" for name in ("transformers", "gguf", "torch"))
    return cache_folder() / f"{digest[:16]}-{CONVERTER}-{packages}"


def outdated() -> list[Path]:
    """Folders in the cache that another converter, or other versions of the packages, made, each with its lock; nobody reads them.

    Only what a converter made is among them, whatever else ``MECHLIB_CACHE`` holds.
    """
    current = converted_folder("").name
    found = [path for path in cache_folder().glob("*") if _CONVERTED.fullmatch(path.name) and (path / "mechlib.json").is_file()]
    return sorted(path for path in found if not path.name.endswith(current))


def converted(digest: str, fetch: Callable[[Path], Path], say: Callable[[str], None]) -> Path:
    """The folder of a converted model; converts it first if the folder is missing or damaged.

    ``digest``: the SHA-256 of the GGUF file. ``fetch`` is given an empty folder, puts the file there and returns its path.
    Raises :class:`ModelError` if the file cannot be read, the disk is full or transformers reads it wrongly.
    """

    def make(scratch: Path) -> Path:
        say("converting the model, once (about a minute)")
        source = fetch(scratch)
        free, needed = shutil.disk_usage(scratch).free, _ROOM * source.stat().st_size
        if free < needed:
            raise ModelError(
                f"{scratch.parent} has {free / 1e9:.1f} GB free and the conversion needs {needed / 1e9:.1f}: free some or set MECHLIB_CACHE"
            )
        with _read_once():
            return _dequantize(source, scratch / "model")

    return kept(converted_folder(digest).name, make, say)


def _dequantize(source: Path, target: Path) -> Path:
    import torch
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(source.parent), gguf_file=source.name)
        network = read_network(str(source.parent), gguf_file=source.name, dtype=torch.float32)
    except ModelError:
        raise
    except Exception as error:  # the reader raises many kinds: all of them mean that the file is no good
        raise ModelError(f"{source.name} cannot be read as GGUF: {_line(error)}") from None
    # transformers refuses to save a model that a quantizer is attached to, though it is plain by now.
    network.hf_quantizer = None
    network.is_quantized = False
    if hasattr(network.config, "quantization_config"):
        del network.config.quantization_config
    apply_scaling(source, network.config)
    network.config.architectures = [type(network).__name__]
    try:
        with quiet():
            network.save_pretrained(target)
        tokenizer.save_pretrained(target)
        saved = AutoTokenizer.from_pretrained(str(target))
    except Exception as error:  # a full disk is another kind in each of the libraries that write
        raise ModelError(f"{target.parent.parent} cannot be written ({_line(error)}): make room, or set MECHLIB_CACHE") from None
    check_vocabulary(source, saved)
    return target


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


@contextmanager
def _read_once() -> Generator[None]:
    """Within the block, a GGUF file is read once, as a plain array, and without a bar.

    transformers would read it three times, for configuration, tokenizer and weights: most of the time of a
    conversion. And numpy would make a memory map of every string of the vocabulary: most of the rest.
    """
    import gguf
    from gguf import gguf_reader
    from transformers import modeling_gguf_pytorch_utils

    files: Any = gguf
    module: Any = gguf_reader
    converter: Any = modeling_gguf_pytorch_utils
    reader, arrays, bar = files.GGUFReader, module.np, converter.tqdm
    files.GGUFReader = cache(reader)
    module.np = SimpleNamespace(**{**vars(np), "memmap": _plain})
    converter.tqdm = lambda items, **_: items
    try:
        yield
    finally:
        files.GGUFReader, module.np, converter.tqdm = reader, arrays, bar


def _plain(path: Any, mode: Any) -> np.ndarray:
    return np.memmap(path, mode=mode).view(np.ndarray)
