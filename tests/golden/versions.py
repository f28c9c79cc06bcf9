"""The declared version of everything that a run's rows come from. The one place that knows where versions are declared."""

from __future__ import annotations

from mechlib.runs.spec import RunSpec
from mechlib.runs.stages import STAGES


def declared(spec: RunSpec) -> int:
    """The version that the run's stage declares (of its inputs nothing)."""
    return 1


def names(spec: RunSpec) -> str:
    """What has that version: the stage, and of those that do several things which."""
    return spec.stage


def where(spec: RunSpec) -> str:
    """The file that declares it."""
    return STAGES[spec.stage].module.replace(".", "/") + ".py"


def versions(spec: RunSpec) -> dict[str, int]:
    """The versions of the run and of all that it needs, by name: rows may change when one of them was raised."""
    found: dict[str, int] = {}
    for needed in spec.inputs.values():
        found |= versions(needed)
    return found | {names(spec): declared(spec)}
