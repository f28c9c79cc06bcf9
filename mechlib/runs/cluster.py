"""Missing runs as jobs of a cluster: each job computes a group of runs of one model, so that its weights load once a job."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, runtime_checkable

import torch

from mechlib.checks import ParameterError
from mechlib.errors import MechlibError, shown
from mechlib.runs.board import Board, Wanted
from mechlib.runs.fitting import fitted
from mechlib.runs.plan import check, machine, plan
from mechlib.runs.progress import Say
from mechlib.runs.runner import Runners
from mechlib.runs.spec import RunSpec
from mechlib.runs.store import Store

# So often a job may end without the run that it was at, before that run is given up.
_TRIES = 3
_UNITS = {"": 1, "K": 1 / 1024, "M": 1, "G": 1024, "T": 1024**2}


class ClusterError(MechlibError, RuntimeError):
    """A cluster that cannot be used, or a job that cannot be helped; the message says what to do."""


@dataclass(frozen=True)
class Outcome:
    """What a job tells when it ends by itself: runs that cannot be had, by id, with why, and what stopped it, if anything did."""

    impossible: Mapping[str, str]
    error: str | None = None


@runtime_checkable
class Jobs(Protocol):
    """What is asked of a cluster. ``folder``: where its jobs' logs and results are. ``mend``: what may help a job that is killed."""

    folder: Path
    mend: str

    def submit(self, store: Store, wanted: Wanted) -> str:
        """Have :func:`work` done; returns the job's id. Raises :class:`ClusterError` if it is refused."""
        ...

    def alive(self) -> Mapping[str, str]:
        """The jobs that wait or run, with their state, by id. Raises :class:`ClusterError` if that is not known now."""
        ...

    def outcome(self, job: str) -> Outcome | str:
        """What a job that is not alive has told, else in words how it was killed."""
        ...

    def leave(self, jobs: Sequence[str]) -> str:
        """What becomes of these jobs, whose command ends, in words."""
        ...


def work(store: Store, wanted: Wanted, runs: Runners | None = None) -> Outcome:
    """What a job does: compute these runs in its process, inputs first. What a user can mend is told, anything else raised.

    ``runs``: what the process keeps from job to job, if it does several.
    """
    if threads := os.environ.get("SLURM_CPUS_PER_TASK"):
        torch.set_num_threads(int(threads))
    runs = runs or Runners(store, log)
    try:
        here = machine()
        wanted = fitted(wanted, store, here)
        check(plan(wanted, store, here))
        runs.wait(wanted)
    except MechlibError as error:
        return Outcome(runs.impossible, str(error))
    return Outcome(runs.impossible)


def words(name: str, given: str) -> list[str]:
    """What an option of several words says; raises :class:`ParameterError` for a quote that is not closed."""
    try:
        return shlex.split(given)
    except ValueError as error:
        raise ParameterError(f"{name}={shown(given)}: {error}") from None


def megabytes(value: str) -> int | None:
    """``64G`` as megabytes, which a number without a unit is; ``None`` if it is no size."""
    found = re.fullmatch(r"(\d{1,9})([KMGT]?)B?", value.upper(), re.ASCII)
    return round(int(found[1]) * _UNITS[found[2]]) if found else None


def log(line: str) -> None:
    """What a job has to say goes to its log."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def next_group(waiting: Mapping[str, RunSpec], running: Collection[str], model: Callable[[RunSpec], str], most: int) -> list[RunSpec]:
    """Runs of one model for the next job, inputs first: what they start from is there, or among them.

    It is the model of the first run that can start. They cost about one of ``most`` equal shares of what waits of this model.
    """
    chosen: dict[str, RunSpec] = {}
    share = cost = 0.0
    for spec in waiting.values():
        if any(needed.id in running or (needed.id in waiting and needed.id not in chosen) for needed in spec.inputs.values()):
            continue
        if not chosen:
            share = sum(other.seconds for other in waiting.values() if model(other) == model(spec)) / most
        elif model(spec) != model(next(iter(chosen.values()))):
            continue
        elif cost >= share:
            break
        chosen[spec.id] = spec
        cost += spec.seconds
    return list(chosen.values())


class Cluster(Board):
    """Submits what is missing, at most ``most`` jobs at once, and again what a killed job has left.

    A context manager. Jobs outlive it, whatever ends it: notes in the jobs' folder say what each computes, so that the next
    command, or another one beside it, waits for them instead of submitting the same again.
    """

    def __init__(self, wanted: Wanted, store: Store, jobs: Jobs, most: int, say: Say, every: float = 5.0) -> None:
        """``every``: seconds between two looks at the cluster."""
        super().__init__(wanted, store, say)
        self._jobs, self._most, self._say, self._every = jobs, most, say, every
        self._held: dict[str, list[str]] = {}
        self._tries: Counter[str] = Counter()
        self._said: Counter[str] = Counter()
        self._unknown = 0
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Cluster:
        self._thread.start()
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self._left.set()
        self._thread.join()
        busy = [job for job, ids in self._held.items() if any(key in self.running for key in ids)]
        if busy:
            self._say(f"  {self._jobs.leave(busy)}")

    def _watch(self) -> None:
        try:
            while not self._left.is_set():
                with self.changed:
                    self._look()
                self._left.wait(self._every)
        except BaseException as error:  # whatever it is, it is raised where somebody waits
            with self.changed:
                self.fail(error)

    def _look(self) -> None:
        """See what has ended, and submit what can start."""
        notes = sorted(self._jobs.folder.glob("*.runs"))  # before the jobs: one that is submitted meanwhile must not look dead
        try:
            alive = self._jobs.alive()
            self._unknown = 0
        except ClusterError:
            self._unknown += 1
            if not self._held or self._unknown > 60:
                raise
            return
        self._settle()
        for job in [job for job in self._held if job not in alive]:
            self._job_ended(job)
        self._adopt(notes, alive)
        self._submit()
        states = Counter(alive[job] for job in self._held if job in alive)
        if states and states != self._said:
            self._say(f"  jobs: {', '.join(f'{count} {state}' for state, count in sorted(states.items()))}")
        self._said = states
        self.changed.notify_all()

    def _settle(self) -> None:
        """Take note of the runs that are there by now, whoever has computed them."""
        for spec in [spec for spec in (*self.running.values(), *self.waiting.values()) if self.settled(spec)]:
            self.waiting.pop(spec.id, None)
            self.running[spec.id] = spec
            if spec.id not in self.impossible:
                self.progress.begin(spec.label)
            self.ended(spec, None)

    def _job_ended(self, job: str) -> None:
        """A job is there no more: what it has left waits again, before all else."""
        ids, outcome = self._held.pop(job), self._jobs.outcome(job)
        self._note(job).unlink(missing_ok=True)
        if isinstance(outcome, Outcome):
            self.impossible.update(outcome.impossible)
        self._settle()
        left = {key: self.running.pop(key) for key in ids if key in self.running}
        if isinstance(outcome, Outcome) and outcome.error:
            raise ClusterError(f"job {job}: {outcome.error}")
        if not left:
            return
        self.waiting = {**left, **self.waiting}
        first = next(iter(left.values()))
        self._tries[first.id] += 1
        how = "has ended early" if isinstance(outcome, Outcome) else outcome
        if self._tries[first.id] >= _TRIES:
            raise ClusterError(
                f"job {job} {how}, the {_TRIES}rd without '{first.label}': ask for more memory or time with SLURM=, "
                f"its log is in {self._jobs.folder}; finished runs are kept"
            )
        self._say(f"  job {job} {how}: {len(left)} runs are submitted again, from {first.label} on")

    def _adopt(self, notes: Sequence[Path], alive: Mapping[str, str]) -> None:
        """Wait for what jobs of other commands compute, those of a killed one included."""
        for note in notes:
            if note.stem not in alive:
                note.unlink(missing_ok=True)
            elif note.stem not in self._held:
                ids: list[str] = []
                with suppress(OSError, ValueError):  # removed or half written just now
                    ids = [key for key in json.loads(note.read_text()) if key in self.waiting]
                if ids:
                    self._say(f"  job {note.stem} of another command computes {len(ids)} runs; waiting")
                    self._hold(note.stem, ids)

    def _submit(self) -> None:
        def model(spec: RunSpec) -> str:
            return self.studies[spec.id].model

        while len(self._held) < self._most and (group := next_group(self.waiting, self.running, model, self._most)):
            studies = list(dict.fromkeys(self.studies[spec.id] for spec in group))
            wanted = [(study, [spec for spec in group if self.studies[spec.id] == study]) for study in studies]
            job = self._jobs.submit(self.store, wanted)
            self._note(job).write_text(json.dumps([spec.id for spec in group]))
            self._say(f"  job {job}: {len(group)} runs of {wanted[0][0].model_spec.name} submitted")
            self._hold(job, [spec.id for spec in group])

    def _hold(self, job: str, ids: Sequence[str]) -> None:
        self._held[job] = list(ids)
        self.running.update({key: self.waiting.pop(key) for key in ids})

    def _note(self, job: str) -> Path:
        return self._jobs.folder / f"{job}.runs"
