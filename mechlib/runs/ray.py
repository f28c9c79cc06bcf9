"""Ray, for clusters without SLURM: what ``RAY=`` says is what a worker gets, and its tasks run :func:`mechlib.runs.cluster.work`."""

from __future__ import annotations

import importlib
import os
import re
import signal
import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch

from mechlib import checks
from mechlib.checks import ParameterError
from mechlib.errors import one_line, shown
from mechlib.runs.board import Wanted
from mechlib.runs.cluster import ClusterError, Outcome, log, megabytes, words, work
from mechlib.runs.plan import Machine
from mechlib.runs.runner import Runners
from mechlib.runs.store import Store


@dataclass(frozen=True)
class Worker:
    """What ``RAY=`` asks for: where Ray is, and what each of its workers gets. ``memory`` is in bytes; ``None``: not reserved."""

    address: str = "auto"
    num_cpus: int = 1
    num_gpus: float = 0.0
    memory: int | None = None

    def __str__(self) -> str:
        return f"Ray ({' '.join(f'{name}={value}' for name, value in asdict(self).items() if value)})"

    @property
    def resources(self) -> Mapping[str, float]:
        """What a node must have for one worker, as Ray calls it."""
        named = {"CPU": self.num_cpus, "GPU": self.num_gpus, "memory": self.memory}
        return {name: value for name, value in named.items() if value}


def worker(given: str) -> Worker:
    """``"address=auto num_gpus=1 num_cpus=2 memory=64G"`` by name. Raises :class:`ParameterError` for what is no setting."""
    found: dict[str, Any] = {}
    for word in words("RAY", given):
        name, _, value = word.partition("=")
        checks.choice("RAY", name, [field.name for field in fields(Worker)])
        where, number = f"RAY: {name}", int(value) if value.isascii() and value.isdecimal() and len(value) < 10 else value
        if name == "address":
            found[name] = checks.text(where, value)
        elif name == "num_cpus":
            found[name] = checks.whole(where, number, least=1)
        elif name == "num_gpus":
            part = float(value) if re.fullmatch(r"0?\.\d{1,4}", value, re.ASCII) else number  # Ray lends parts of one, or whole ones
            found[name] = checks.least(where, part, 0)
        elif (size := megabytes(value)) is None or not value[-1].isalpha():
            raise ParameterError(f"{where}={shown(value)}: give the memory of a worker, such as memory=64G")
        else:
            found[name] = size * 1024**2
    return Worker(**found)


def on_ray(asked: Worker, at_once: int | None) -> Machine:
    """What a worker would get, and how many there can be at once unless ``at_once`` says; or why there can be none."""
    gpu = asked.num_gpus > 0
    try:
        nodes: list[Mapping[str, float]] = [node["Resources"] for node in _connected(asked).nodes() if node["Alive"]]
    except ClusterError as error:
        return Machine(str(asked), None, gpu, at_once or 1, str(error))
    # A part of a GPU, such as 0.1, fits ten times though it is a little more than a tenth.
    room = [min(int(node.get(name, 0) / need + 1e-6) for name, need in asked.resources.items()) for node in nodes]
    if not any(room):
        refused = f"no node of {asked} has so much: ask for less with RAY=, or start such a node"
        return Machine(str(asked), None, gpu, at_once or 1, refused)
    shares = [int(node.get("memory", 0)) // count for node, count in zip(nodes, room, strict=True) if count]
    return Machine(str(asked), None if gpu else asked.memory or max(shares), gpu, at_once or sum(room))


def _connected(asked: Worker) -> Any:
    """The library, connected. Raises :class:`ClusterError` if it, or the Ray that is asked for, is not there."""
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError:
        raise ClusterError("ENGINE=ray needs ray: python -m pip install 'mechlib[ray]' (in a checkout: '.[ray]')") from None
    if ray.is_initialized():
        return ray
    address = os.environ.get("RAY_ADDRESS", "auto") if asked.address == "auto" else asked.address
    # Workers begin with the environment of their node: what says where models are must come from here.
    ours = {name: value for name, value in os.environ.items() if name.startswith(("MECHLIB_", "HF_")) and "TOKEN" not in name}
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # one that is started here reports to nobody
    before = signal.getsignal(signal.SIGTERM)
    try:
        host, _, port = address.rpartition("/")[2].rpartition(":")
        if host:  # where nobody listens, Ray itself would try for minutes
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address, runtime_env={"env_vars": ours}, logging_level="ERROR", log_to_driver=False)
    except Exception as error:  # of many kinds: no Ray there, another version, a wrong token
        said = one_line(str(error))
        raise ClusterError(f"{asked} does not answer ({said}): start one (ray start --head), or give its address with RAY=") from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # Ray puts its own there
    return ray


@lru_cache(maxsize=1)
def _runners(store: Store, _model: str) -> Runners:
    """What a worker keeps from task to task: the weights of its last model."""
    return Runners(store, log)


def _job(path: Path, threads: int, store: Store, wanted: Wanted) -> Outcome:
    """What a worker does: a task's runs are all of one model."""
    torch.set_num_threads(threads)
    with path.open("w") as file, redirect_stdout(file), redirect_stderr(file):
        return work(store, wanted, _runners(store, wanted[0][0].model))


class RayJobs:
    """Tasks of this process on a Ray. They end with it: what they had at work is computed again by whoever asks next."""

    mend = "ask for more with RAY="

    def __init__(self, folder: Path, asked: Worker) -> None:
        """``folder``: one that the nodes share. Raises :class:`ClusterError` without ray or a Ray that answers."""
        self.folder, self._ray, self._threads = folder, _connected(asked), asked.num_cpus
        folder.mkdir(parents=True, exist_ok=True)
        resources = {name: value for name, value in asdict(asked).items() if name != "address"}
        # What a dead worker has left, the engine submits again: Ray itself tries nothing twice.
        self._task: Any = self._ray.remote(_job).options(max_retries=0, **resources)
        self._tasks: dict[str, Any] = {}

    def submit(self, store: Store, wanted: Wanted) -> str:
        """Have :func:`work` done; returns the job's id."""
        job = uuid4().hex[:12]
        self._tasks[job] = self._task.remote(self._log(job), self._threads, store, wanted)
        return job

    def alive(self) -> Mapping[str, str]:
        """The tasks that have not ended: one that has no log yet waits for a worker."""
        tasks = list(self._tasks.values())
        done = set(self._ray.wait(tasks, num_returns=len(tasks), timeout=0)[0] if tasks else ())
        return {job: "running" if self._log(job).exists() else "pending" for job, task in self._tasks.items() if task not in done}

    def outcome(self, job: str) -> Outcome | str:
        """What a task has told, else how Ray says that it ended."""
        try:
            return self._ray.get(self._tasks.pop(job))
        except self._ray.exceptions.RayTaskError as error:
            with self._log(job).open("a") as file:
                file.write(str(error))
            return Outcome({}, f"{type(error.cause).__name__}: {one_line(str(error.cause))} (its log: {self._log(job)})")
        except self._ray.exceptions.RayError as error:
            return f"was ended by Ray ({type(error).__name__})"

    def leave(self, jobs: Sequence[str]) -> str:
        """End these tasks, whose command ends."""
        for job in jobs:
            self._ray.cancel(self._tasks[job], force=True)
        return f"{len(jobs)} tasks end with this command: the same command goes on from the runs that are stored"

    def _log(self, job: str) -> Path:
        return self.folder / f"{job}.log"
