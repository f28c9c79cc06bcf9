"""A run is its spec: what is asked, not how it is computed.

An id is the hash of the stage's name, its declared versions, its settings, and the ids of the runs
that it starts from. Settings hold the hashes of weights, facts and texts. Not in an id: code, Python,
libraries, processor, device, threads, and whatever nobody asked for (``None``). Two guards keep that
honest: golden rows (``tests/golden``) fail when a stage gives other rows and its version was not
raised, and ``make audit`` computes kept runs again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from mechlib.runs.work import Result, Work


def no_parts(_settings: Any) -> Mapping[str, int]:
    """A stage without methods of their own version."""
    return {}


@dataclass(frozen=True)
class Stage:
    """A kind of run. ``compute(work)`` gives its result.

    - ``version``: raised when the same settings give other rows.
    - ``seconds``: its expected cost in a quick run on one core, or how the settings decide it.
    - ``parts(settings)``: versions of the methods that the settings name.
    - ``files``: what starts from its result needs the files beside it too, not only rows and value.
    """

    name: str
    version: int
    compute: Callable[[Work[Any]], Result]
    seconds: float | Callable[[Any], float]
    parts: Callable[[Any], Mapping[str, int]] = no_parts
    files: bool = False


@dataclass(frozen=True)
class RunSpec:
    """``settings`` (a frozen dataclass) hold everything that the stage reads and no more; ``inputs`` are runs by role."""

    stage: Stage
    label: str = field(compare=False)
    settings: Any
    inputs: Mapping[str, RunSpec] = field(default_factory=dict)

    @property
    def versions(self) -> dict[str, int]:
        """The declared versions of the stage and of the methods that it uses."""
        return {self.stage.name: self.stage.version, **self.stage.parts(self.settings)}

    @property
    def seconds(self) -> float:
        """Expected cost in a quick run on one core."""
        cost = self.stage.seconds
        return cost(self.settings) if callable(cost) else cost

    @cached_property
    def id(self) -> str:
        """Twenty hex digits that name the question."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:20]

    def to_json(self) -> dict[str, Any]:
        """What is asked, without the label: what the id is the hash of."""
        inputs = {role: spec.id for role, spec in self.inputs.items()}
        return {"stage": self.stage.name, "versions": self.versions, "settings": identity(self.settings), "inputs": inputs}


def with_inputs(wanted: Iterable[RunSpec]) -> list[RunSpec]:
    """The runs and all that they start from, each once, inputs first."""
    found: dict[str, RunSpec] = {}

    def visit(spec: RunSpec) -> None:
        if spec.id not in found:
            for needed in spec.inputs.values():
                visit(needed)
            found[spec.id] = spec

    for spec in wanted:
        visit(spec)
    return list(found.values())


def identity(value: Any) -> Any:
    """A setting as JSON. What is ``None`` was not asked; fields marked ``{"identity": False}`` say how, not what.

    Raises ``TypeError`` for anything else than plain values, lists, mappings and dataclasses of them.
    """
    if value is None or isinstance(value, (str, int)):  # noqa: UP038 (asked of every value of every run, and faster so)
        return value
    if isinstance(value, float):
        # The same number, written as 1 or as 1.0.
        return int(value) if value.is_integer() else value
    if isinstance(value, list | tuple):
        return [identity(each) for each in value]
    if (names := _asked(type(value))) is not None:
        return {name: identity(each) for name in names if (each := getattr(value, name)) is not None}
    if isinstance(value, Mapping):
        return {str(name): identity(each) for name, each in value.items() if each is not None}
    raise TypeError(f"a setting cannot be a {type(value).__name__}")


@cache
def _asked(kind: type) -> tuple[str, ...] | None:
    """The fields of a dataclass that say what is asked; ``None`` for any other type."""
    return tuple(one.name for one in fields(kind) if one.metadata.get("identity", True)) if is_dataclass(kind) else None


def digest(*values: Any) -> str:
    """Sixteen hex digits that stand in an id for something large: files by their bytes, other values as :func:`identity`."""
    content = [hashlib.sha256(value.read_bytes()).hexdigest() if isinstance(value, Path) else identity(value) for value in values]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
