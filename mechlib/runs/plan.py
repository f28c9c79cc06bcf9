"""Before a run: what is missing, about how long it takes, and whether the largest edit fits into memory. Nothing is loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psutil
import torch

from mechlib.checks import ParameterError
from mechlib.runs.memory import Memory, memory
from mechlib.runs.parameters import PRECISIONS
from mechlib.runs.progress import duration
from mechlib.runs.runner import Runner
from mechlib.runs.spec import RunSpec
from mechlib.runs.stages import EDIT, STAGES, TRIAL
from mechlib.runs.store import Store
from mechlib.runs.study import Study


@dataclass(frozen=True)
class Machine:
    """Free memory of the accelerator, or of the computer if it has none, in bytes."""

    name: str
    free: int


def machine() -> Machine:
    """What this process would run on."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is not None:
        try:
            return Machine(torch.get_device_module(accelerator).get_device_name(), torch.accelerator.get_memory_info()[0])
        except (AttributeError, RuntimeError):  # one without memory of its own: it uses the computer's
            pass
    return Machine("this computer", psutil.virtual_memory().available)


@dataclass(frozen=True)
class Plan:
    """Missing runs by stage with their expected seconds, and the largest of the missing edits, against the machine."""

    missing: Mapping[str, int]
    seconds: Mapping[str, float]
    largest: Memory | None
    machine: Machine = field(default_factory=machine)

    def __str__(self) -> str:
        expected = duration(sum(self.seconds.values()))
        lines = [f"{sum(self.missing.values())} runs to compute, about {expected} (an estimate: gemma-3-270m on 2 cores)"]
        lines += [f"  {stage:<13}{count:>6}  {duration(self.seconds[stage])}" for stage, count in self.missing.items()]
        if self.largest:
            lines.append(f"Most memory: {self.largest.label}; its matrices have {self.largest.trained:,} weights (an estimate)")
            lines += [f"  {name:<17}{_bytes(size):>10}" for name, size in self.largest.parts.items() if size]
            lines.append(f"  {'together':<17}{_bytes(self.largest.total):>10}")
            lines.append(f"  {'free':<17}{_bytes(self.machine.free):>10}  {self.machine.name}")
        return "\n".join(lines)


def plan(wanted: Iterable[tuple[Study, Sequence[RunSpec]]], store: Store) -> Plan:
    """What is missing of the runs of one or several studies, inputs included; nothing is computed."""
    missing = {spec.id: (study, spec) for study, specs in wanted for spec in Runner(study, store).missing(specs)}
    counts = Counter(spec.stage.name for _, spec in missing.values())
    order = [stage.name for stage in STAGES if counts[stage.name]]
    seconds = {name: sum(spec.seconds for _, spec in missing.values() if spec.stage.name == name) for name in order}
    edits = (memory(study, spec, store) for study, spec in missing.values() if spec.stage in (EDIT, TRIAL))
    return Plan({stage: counts[stage] for stage in seconds}, seconds, max(edits, key=lambda edit: edit.total, default=None))


def check(made: Plan) -> None:
    """Raise :class:`ParameterError`, one line that says what would help, if the largest edit cannot fit."""
    needs, free = made.largest, made.machine.free
    if needs is None or needs.total <= free:
        return
    ways: dict[str, dict[str, Any]] = {
        "OPTIMIZER=adamw8bit": {"optimizer": "adamw8bit"},
        "CHECKPOINTING=True": {"checkpointing": True},
        "MICRO_BATCH=1": {"micro_batch": 1},
        **{f"PRECISION={name}": {"precision": name} for name in PRECISIONS},
    }

    def changed(chosen: Sequence[str]) -> Memory:
        settings = {name: value for way in chosen for name, value in ways[way].items()}
        return replace(needs, training=replace(needs.training, **settings))

    # The most saving first; if none is enough alone, the fewest that are enough together.
    helping = sorted((way for way in ways if changed([way]).total < needs.total), key=lambda way: changed([way]).total)
    together = [helping[:count] for count in range(len(helping) + 1)]
    enough = [way for way in helping if changed([way]).total <= free]
    enough = enough or [" ".join(chosen) for chosen in together if changed(chosen).total <= free][:1]
    best = min(together, key=lambda chosen: changed(chosen).total)
    base = needs if enough else changed(best)
    least = replace(base, trained=0, aside=0).total
    most = int((free - least) / (base.total - least) * base.trained)
    helps = [f"set {' or '.join(enough)}"] if enough else []
    if most > 0:
        fewer = f"train at most {most:,} weights instead of {needs.trained:,}"
        helps.append(f"set {' '.join(best)} and {fewer}" if best and not enough else fewer)
    helps = helps or [f"no setting helps, {_bytes(least)} are needed with nothing trained"]
    raise ParameterError(f"{needs.label} needs about {_bytes(needs.total)} and {made.machine.name} has {_bytes(free)} free: "
                         f"{', or '.join(helps)}")  # fmt: skip


def _bytes(size: float) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e8 else f"{size / 1e6:.2f} MB"
