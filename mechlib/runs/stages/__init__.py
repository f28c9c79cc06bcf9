"""Stages: one short file each. A stage's code version covers exactly the modules its file imports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mechlib.runs.context import Context
from mechlib.runs.stages import (
    ask,
    before,
    benign,
    circuits,
    corpus,
    damage,
    demonstrate,
    direction,
    edit,
    know,
    latent,
    localize,
    mask,
    paths,
    probe,
    quantize,
    relearn,
    ripple,
    soften,
    text,
    trace,
    trial,
    tune,
    zero,
)
from mechlib.runs.result import Result

Compute = Callable[[Context, Mapping[str, Any], Mapping[str, Result], Path], Result]


@dataclass(frozen=True)
class Stage:
    """``compute(context, config, inputs, folder)``; ``cost`` is its expected share of a quick run, in seconds.

    ``files``: what needs its result needs the files beside it too, not only rows and value.
    """

    module: str
    compute: Compute
    cost: float
    files: bool = False


STAGES: dict[str, Stage] = {
    "know": Stage(know.__name__, know.compute, 14),
    "text": Stage(text.__name__, text.compute, 6),
    "corpus": Stage(corpus.__name__, corpus.compute, 6),
    "probe": Stage(probe.__name__, probe.compute, 14),
    "trace": Stage(trace.__name__, trace.compute, 7),
    "paths": Stage(paths.__name__, paths.compute, 11),
    "circuits": Stage(circuits.__name__, circuits.compute, 16),
    "localize": Stage(localize.__name__, localize.compute, 0.1),
    "mask": Stage(mask.__name__, mask.compute, 13, files=True),
    "zero": Stage(zero.__name__, zero.compute, 7.5),
    "trial": Stage(trial.__name__, trial.compute, 10),
    "tune": Stage(tune.__name__, tune.compute, 0.1),
    "edit": Stage(edit.__name__, edit.compute, 15, files=True),
    "ask": Stage(ask.__name__, ask.compute, 2),
    "damage": Stage(damage.__name__, damage.compute, 2),
    "before": Stage(before.__name__, before.compute, 1),
    "relearn": Stage(relearn.__name__, relearn.compute, 8.5),
    "benign": Stage(benign.__name__, benign.compute, 15),
    "quantize": Stage(quantize.__name__, quantize.compute, 6),
    "direction": Stage(direction.__name__, direction.compute, 2),
    "demonstrate": Stage(demonstrate.__name__, demonstrate.compute, 1.5),
    "soften": Stage(soften.__name__, soften.compute, 6.5),
    "latent": Stage(latent.__name__, latent.compute, 12),
    "ripple": Stage(ripple.__name__, ripple.compute, 5.5),
}
