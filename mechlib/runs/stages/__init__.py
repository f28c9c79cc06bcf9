"""Stages: one short file each. A stage's code version covers exactly the modules its file imports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mechlib.runs.context import Context
from mechlib.runs.stages import ask, circuits, damage, edit, know, localize, mask, paths, probe, text, trace, trial, tune, zero
from mechlib.runs.result import Result

Compute = Callable[[Context, Mapping[str, Any], Mapping[str, Result], Path], Result]


@dataclass(frozen=True)
class Stage:
    """``compute(context, config, inputs, folder)``; ``cost`` is its expected share of a quick run, in seconds."""

    module: str
    compute: Compute
    cost: float


STAGES: dict[str, Stage] = {
    "know": Stage(know.__name__, know.compute, 28),
    "text": Stage(text.__name__, text.compute, 8),
    "probe": Stage(probe.__name__, probe.compute, 10),
    "trace": Stage(trace.__name__, trace.compute, 11),
    "paths": Stage(paths.__name__, paths.compute, 20),
    "circuits": Stage(circuits.__name__, circuits.compute, 30),
    "localize": Stage(localize.__name__, localize.compute, 0.1),
    "mask": Stage(mask.__name__, mask.compute, 20),
    "zero": Stage(zero.__name__, zero.compute, 10),
    "trial": Stage(trial.__name__, trial.compute, 11),
    "tune": Stage(tune.__name__, tune.compute, 0.1),
    "edit": Stage(edit.__name__, edit.compute, 9),
    "ask": Stage(ask.__name__, ask.compute, 1.5),
    "damage": Stage(damage.__name__, damage.compute, 6),
}
