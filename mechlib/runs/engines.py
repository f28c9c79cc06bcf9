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
from mechlib.runs.ray import RayJobs, Worker, on_ray, worker
from mechlib.runs.runner import Runners
from mechlib.runs.slurm import Settings, SlurmJobs, on_slurm, settings
from mechlib.runs.store import Store

ENGINES = ("local", "slurm", "ray")
# What is asked of a cluster for each job.
Asked = Settings | Worker
# Jobs at a time on SLURM where nobody says.
_JOBS = 4


@runtime_checkable
class Engine(Protocol):
    """Computes runs. ``impossible``: those that a model and its facts do not allow, by id, with why."""

    impossible: dict[str, str]

    def wait(self, wanted: Wanted) -> None:
        """Return when all of these runs are stored, or noted in ``impossible``; raises what any other failure has raised."""
        ...


def asked(engine: str, slurm: str = "", ray: str = "") -> Asked | None:
    """What ``ENGINE=``, ``SLURM=`` and ``RAY=`` say: settings of jobs, or ``None`` for this computer. Raises :class:`ParameterError`."""
    chosen = checks.choice("ENGINE", engine or "local", ENGINES)
    for name, given in (("slurm", slurm), ("ray", ray)):
        if given and name != chosen:
            raise ParameterError(f"{name.upper()}= is given without ENGINE={name}: give both, or leave it out")
    if chosen == "slurm":
        return settings(slurm)
    return worker(ray) if chosen == "ray" else None


def place(wanted: Wanted, store: Store, jobs: int | None, cluster: Asked | None = None) -> Machine:
    """Where an engine would compute these runs, and how many at once: ``jobs``, or as many as suit (``None``)."""
    if cluster is not None:
        there = on_ray(cluster, jobs) if isinstance(cluster, Worker) else on_slurm(cluster, store.root / ".jobs", jobs or _JOBS)
        # A node cannot be measured before a run is there: its cores are taken for such as this computer's.
        return replace(there, rates=CARD if there.accelerator else calibrated(torch.device("cpu")))
    here = replace(machine(), rates=calibrated(default_device()))
    free = here.free or 0
    return replace(here, at_once=jobs or max(1, room([study for study, _ in wanted], store, free)), shared=True)


def at_once(wanted: Wanted, store: Store, say: Say, made: Plan, cluster: Asked | None = None) -> AbstractContextManager[Engine]:
    """The engine for what a plan says is missing, on the plan's machine."""
    together = min(made.machine.at_once, sum(made.missing.values()))
    if cluster is not None and together:
        jobs = RayJobs(store.root / ".jobs" / "ray", cluster) if isinstance(cluster, Worker) else SlurmJobs(store.root / ".jobs", cluster)
        return Cluster(wanted, store, jobs, together, say)
    return nullcontext(Runners(store, say)) if together < 2 else Pool(wanted, store, together, say)
