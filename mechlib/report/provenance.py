"""How the runs behind a page were computed: code, machine, libraries and time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from mechlib.report import numerals

# The libraries that do the arithmetic; a run's own file names more.
NAMED = ("torch", "transformers", "peft")
# Digits of an id or a commit that tell it from the others.
SHORT = 8


def provenance(runs: Iterable[tuple[str, str, Mapping[str, Any]]]) -> pd.DataFrame:
    """One line a stage from (stage, id, manifest) of each run; what differs between its runs stands side by side.

    Rows of different machines may stand together: how far these differ, ``make audit`` measures.
    """
    stages: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for stage, run, how in runs:
        stages.setdefault(stage, []).append((run, how))
    return pd.DataFrame(
        [
            {
                "stage": stage, "runs": len(own), "seconds": numerals.decimal(sum(how.get("seconds", 0.0) for _, how in own), 1),
                "commit": _each(_commit(how) for _, how in own), "machine": _each(_machine(how) for _, how in own),
                "libraries": _each(_libraries(how) for _, how in own), "first run": own[0][0][:SHORT],
            }
            for stage, own in stages.items()
        ]
    )  # fmt: skip


def _commit(how: Mapping[str, Any]) -> str | None:
    commit = how.get("commit")
    return None if commit is None else commit[:SHORT] + (" with changes" if how.get("dirty") else "")


def _machine(how: Mapping[str, Any]) -> str | None:
    machine = how.get("machine")
    return None if machine is None else f"{machine}, {how.get('precision', 'precision not recorded')}"


def _libraries(how: Mapping[str, Any]) -> str:
    versions = how.get("packages", {})
    return ", ".join(f"{name} {versions[name]}" for name in NAMED if name in versions)


def _each(values: Iterable[str | None]) -> str:
    return "; ".join(dict.fromkeys("not recorded" if value is None else value for value in values))
