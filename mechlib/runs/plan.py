"""Before a run: what is missing, about how long it takes, and whether the largest edit fits into memory. Nothing is loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import psutil
import torch

from mechlib.checks import ParameterError
from mechlib.models.precision import fast_precision
from mechlib.runs.cost import CORE, factor
from mechlib.runs.memory import Memory, memory, sizes_of
from mechlib.runs.parameters import PRECISIONS
from mechlib.runs.progress import duration
from mechlib.runs.rates import Rates
from mechlib.runs.runner import Runner
from mechlib.runs.spec import RunSpec
from mechlib.runs.stages import EDIT, STAGES, TRIAL
from mechlib.runs.store import Store
from mechlib.runs.study import Study

# The least part of the first card's free memory that another card has to have, to count as one like it.
_ALIKE = 0.95
# Bytes of a run without weights: its rows and how it was computed, on the safe side of those of the embedded model.
_ROWS = 100_000


@dataclass(frozen=True)
class Machine:
    """Where runs would be computed.

    ``free``: memory of its accelerator, or of the computer if it has none, in bytes; ``None``: not known before a run is there.
    ``accelerator``: whether it has one; ``None``: what this process has. ``at_once``: how many runs it computes at a time.
    ``rates``: how fast it is, by default as the core on which seconds were declared. ``shared``: whether these share ``free``.
    ``refused``: why it would take no run at all, and what to do. ``cards``: how many accelerators have as much as ``free``, about.
    """

    name: str
    free: int | None
    accelerator: bool | None = None
    at_once: int = 1
    refused: str | None = None
    shared: bool = False
    rates: Rates = CORE
    cards: int = 1

    @property
    def share(self) -> int | None:
        """The memory that each run has, in bytes."""
        return self.free // self.at_once if self.free is not None and self.shared else self.free


def machine() -> Machine:
    """What this process would run on."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is not None:
        try:
            free = torch.accelerator.get_memory_info()[0]
            others = [torch.accelerator.get_memory_info(number)[0] for number in range(1, torch.accelerator.device_count())]
            alike = 1 + sum(other >= _ALIKE * free for other in others)
            return Machine(torch.get_device_module(accelerator).get_device_name(), free, cards=alike)
        except (AttributeError, RuntimeError):  # one without memory of its own: it uses the computer's
            pass
    return Machine("this computer", psutil.virtual_memory().available)


@dataclass(frozen=True)
class Plan:
    """Missing runs by stage with their expected seconds, and the largest of the missing edits, against the machine.

    ``longest``: expected seconds of the longest chain of runs that start from each other. ``disk``: bytes that the runs will
    take, and that are free for them.
    """

    missing: Mapping[str, int]
    seconds: Mapping[str, float]
    largest: Memory | None
    machine: Machine = field(default_factory=machine)
    longest: float = 0.0
    disk: tuple[int, int] | None = None

    def __str__(self) -> str:
        total, several = sum(self.seconds.values()), self.machine.at_once
        expected = duration(total)
        on = "" if self.machine.rates == CORE else f" on one core of {self.machine.rates.name}"
        on = f" on {self.machine.rates.name}" if self.machine.accelerator else on
        lines = [f"{sum(self.missing.values())} runs to compute, about {expected}{on} (an estimate from the model's sizes)"]
        lines += [f"  {stage:<13}{count:>6}  {duration(self.seconds[stage])}" for stage, count in self.missing.items()]
        if several > 1 and self.missing:
            lines.append(f"On {self.machine.name}, {several} at once: about {duration(max(total / several, self.longest))}")
        if self.disk and self.missing:
            lines.append(f"Disk: about {_bytes(self.disk[0])} for weights of edits and rows, {_bytes(self.disk[1])} free")
        if self.largest:
            lines.append(f"Most memory: {self.largest.label}; its matrices have {self.largest.trained:,} weights (an estimate)")
            if at_once := self.largest.training.micro_batch:
                lines.append(f"  of each step {at_once} {'prompts' if at_once > 1 else 'prompt'} at once")
            if (cards := self.largest.training.cards) > 1:
                lines.append(f"  its weights in shares on {cards} cards, on each of them:")
            lines += [f"  {name:<17}{_bytes(size):>10}" for name, size in self.largest.parts.items() if size]
            lines.append(f"  {'together':<17}{_bytes(self.largest.total):>10}")
            free = "not known" if self.machine.free is None else _bytes(self.machine.free)
            lines.append(f"  {'free':<17}{free:>10}  {self.machine.name}")
        try:
            check(self)
        except ParameterError as error:
            lines.append(f"execute will refuse this: {error}")
        return "\n".join(lines)


def plan(wanted: Iterable[tuple[Study, Sequence[RunSpec]]], store: Store, on: Machine | None = None) -> Plan:
    """What is missing of the runs of one or several studies, inputs included, on a machine (``None``: this one); nothing is computed."""
    missing = {spec.id: (study, spec) for study, specs in wanted for spec in Runner(study, store).missing(specs)}
    where = on or machine()
    counts = Counter(spec.stage.name for _, spec in missing.values())
    order = [stage.name for stage in STAGES if counts[stage.name]]
    pace = {study: _pace(study, where.rates) for study in {study for study, _ in missing.values()}}
    costs = {key: spec.seconds * pace[study] for key, (study, spec) in missing.items()}
    seconds = {name: sum(costs[key] for key, (_, spec) in missing.items() if spec.stage.name == name) for name in order}
    edits = {
        key: memory(study, spec, store, where.accelerator) for key, (study, spec) in missing.items() if spec.stage in (EDIT, TRIAL)
    }
    chains: dict[str, float] = {}
    for key, (_, spec) in missing.items():  # inputs first
        chains[key] = costs[key] + max((chains.get(needed.id, 0.0) for needed in spec.inputs.values()), default=0.0)
    disk = _ROWS * len(missing) + sum(4 * edit.trained for key, edit in edits.items() if missing[key][1].stage is EDIT)
    largest = max(edits.values(), key=lambda edit: edit.total, default=None)
    longest = max(chains.values(), default=0.0)
    return Plan({stage: counts[stage] for stage in seconds}, seconds, largest, where, longest, (disk, store.room()))


def _pace(study: Study, rates: Rates) -> float:
    """Seconds there, with the study's model, that a declared second comes to."""
    return factor(sizes_of(study), study.precision or fast_precision(), rates)


def check(made: Plan) -> None:
    """Raise :class:`ParameterError`, one line that says what would help, if runs are refused there, or memory or disk is short."""
    if made.missing and made.machine.refused:
        raise ParameterError(made.machine.refused)
    if made.largest and made.machine.free is not None and made.largest.total > made.machine.free:
        _refuse(made.largest, made.machine.name, made.machine.free)
    if made.disk and made.missing and made.disk[0] > made.disk[1]:
        raise ParameterError(f"the runs need about {_bytes(made.disk[0])} of disk and {_bytes(made.disk[1])} are free: "
                             "free some, set MECHLIB_RUNS to another folder, or ask for less (LOCALIZATIONS=, SEEDS=)")  # fmt: skip


def _refuse(needs: Memory, name: str, free: int) -> NoReturn:
    ways: dict[str, dict[str, Any]] = {
        "OPTIMIZER=adamw8bit": {"optimizer": "adamw8bit"},
        "CHECKPOINTING=True": {"checkpointing": True},
        "MICRO_BATCH=1": {"micro_batch": 1},
        **{f"PRECISION={name}": {"precision": name} for name in PRECISIONS},
    }

    if needs.training.cards > 1:
        name = f"each of {needs.training.cards} cards ({name})"

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
    raise ParameterError(f"{needs.label} needs about {_bytes(needs.total)} and {name} has {_bytes(free)} free: "
                         f"{', or '.join(helps)}")  # fmt: skip


def _bytes(size: float) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e8 else f"{size / 1e6:.2f} MB"
