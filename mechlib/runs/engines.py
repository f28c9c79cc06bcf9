"""Where missing runs are computed: in this process, in several processes, or as jobs of a cluster."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch

from mechlib import checks
from mechlib.checks import ParameterError
from mechlib.models.loading import default_device
from mechlib.runs.board import Wanted
from mechlib.runs.cluster import Cluster
from mechlib.runs.cost import CARD
from mechlib.runs.plan import Machine, Plan, machine
from mechlib.runs.pool import Pool, room
from mechlib.runs.progress import Say
from mechlib.runs.rates import calibrated
from mechlib.runs.runner import Runners
from mechlib.runs.slurm import Settings, SlurmJobs, on_slurm, settings
from mechlib.runs.store import Store

ENGINES = ("local", "slurm")
# Jobs at a time on a cluster where nobody says.
_JOBS = 4


@runtime_checkable
class Engine(Protocol):
    """Computes runs. ``impossible``: those that a model and its facts do not allow, by id, with why."""

    impossible: dict[str, str]

    def wait(self, wanted: Wanted) -> None:
        """Return when all of these runs are stored, or noted in ``impossible``; raises what any other failure has raised."""
        ...


def asked(engine: str, slurm: str) -> Settings | None:
    """What ``ENGINE=`` and ``SLURM=`` say: settings of jobs, or ``None`` for this computer. Raises :class:`ParameterError`."""
    if checks.choice("ENGINE", engine or "local", ENGINES) == "slurm":
        return settings(slurm)
    if slurm:
        raise ParameterError("SLURM= is given without ENGINE=slurm: give both, or leave it out")
    return None


def place(wanted: Wanted, store: Store, jobs: int | None, slurm: Settings | None = None) -> Machine:
    """Where an engine would compute these runs, and how many at once: ``jobs``, or as many as suit (``None``)."""
    if slurm is not None:
        there = on_slurm(slurm, store.root / ".jobs", jobs or _JOBS)
        # A node cannot be measured before a run is there: its cores are taken for such as this computer's.
        return replace(there, rates=CARD if there.accelerator else calibrated(torch.device("cpu")))
    here = replace(machine(), rates=calibrated(default_device()))
    free = here.free or 0
    return replace(here, at_once=jobs or max(1, room([study for study, _ in wanted], store, free)), shared=True)


def at_once(wanted: Wanted, store: Store, say: Say, made: Plan, slurm: Settings | None = None) -> AbstractContextManager[Engine]:
    """The engine for what a plan says is missing, on the plan's machine."""
    together = min(made.machine.at_once, sum(made.missing.values()))
    if slurm is not None and together:
        return Cluster(wanted, store, SlurmJobs(store.root / ".jobs", slurm), together, say)
    return nullcontext(Runners(store, say)) if together < 2 else Pool(wanted, store, together, say)
