"""The declared version of everything that a run's rows come from. The one place that knows where versions are declared."""

from __future__ import annotations

from mechlib.attacks.registry import ATTACKS
from mechlib.runs.spec import RunSpec


def names(spec: RunSpec) -> str:
    """What has a version of its own: the stage, and of those that do several things which."""
    return ", ".join(declared(spec))


def where(spec: RunSpec) -> str:
    """The file that declares it."""
    method = next((name for name in spec.versions if name in ATTACKS), None)
    return f"mechlib/attacks/{method}.py" if method else spec.stage.compute.__module__.replace(".", "/") + ".py"


def declared(spec: RunSpec) -> dict[str, int]:
    """The versions that the run's stage and method declare (of its inputs nothing)."""
    return spec.versions


def versions(spec: RunSpec) -> dict[str, int]:
    """The versions of the run and of all that it needs, by name: rows may change when one of them was raised."""
    found: dict[str, int] = {}
    for needed in spec.inputs.values():
        found |= versions(needed)
    return found | declared(spec)
