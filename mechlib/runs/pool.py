"""Several missing runs at once, each in a process with one share of the processor: small models leave most of many threads idle."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType

import psutil
import torch
from transformers.utils.logging import disable_progress_bar

from mechlib.errors import MechlibError
from mechlib.runs.impossible import REASONS, why
from mechlib.runs.memory import memory
from mechlib.runs.plan import Plan
from mechlib.runs.progress import Progress, Say
from mechlib.runs.runner import Runner, Runners, known_reason
from mechlib.runs.spec import RunSpec
from mechlib.runs.store import Store
from mechlib.runs.study import Study

# Bytes for a process with a small model and what it computes.
_LEAST = 3 * 10**9

Wanted = Sequence[tuple[Study, Sequence[RunSpec]]]


def at_once(wanted: Wanted, store: Store, say: Say, made: Plan, jobs: int | None) -> AbstractContextManager[Runners | Pool]:
    """Something to ``wait`` for runs with: this process, or as many as ``jobs`` says or the machine has room for."""
    together = sum(made.missing.values())
    chosen = room([study for study, _ in wanted], store, made.machine.free) if jobs is None else jobs
    return nullcontext(Runners(store, say)) if min(chosen, together) < 2 else Pool(wanted, store, min(chosen, together), say)


def room(studies: Sequence[Study], store: Store, free: int) -> int:
    """One on an accelerator, whose memory one model fills; else one a core, as far as ``free`` bytes go for the largest edit in each."""
    if torch.accelerator.current_accelerator(check_available=True) is not None:
        return 1
    # Whatever a run does with a model, it takes about as much as an edit of it.
    edits = (memory(study, study.edit(key, 0, 0), store).total for study in studies for key in (study.localizations or ())[:1])
    return min(psutil.cpu_count(logical=False) or 1, free // max((_LEAST, *edits)))


class PoolError(MechlibError, RuntimeError):
    """A process that computed runs has died; the message says what to do."""


class Pool:
    """Computes runs in the order given, inputs first, each in a process with its share of the cores.

    A context manager: leaving it lets the runs that are being computed end, and starts no others.
    """

    def __init__(self, wanted: Wanted, store: Store, jobs: int, say: Say) -> None:
        missing = [(study, spec) for study, specs in wanted for spec in Runner(study, store).missing(specs)]
        self._waiting = {spec.id: (study, spec) for study, spec in missing}
        self._running: dict[str, RunSpec] = {}
        self._failure: BaseException | None = None
        self.impossible: dict[str, str] = {}
        self._jobs, self._changed = jobs, threading.Condition()
        self._progress = Progress(say, [spec.seconds for _, spec in self._waiting.values()])
        threads = max(1, (psutil.cpu_count(logical=False) or 1) // jobs)
        self._workers = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _prepare, (store, threads))
        # Processes start with the first task: they import while whoever made this gets ready to enter it.
        self._workers.submit(int)

    def __enter__(self) -> Pool:
        with self._changed:
            self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        with self._changed:
            self._waiting.clear()
        if kind is KeyboardInterrupt:
            for process in multiprocessing.active_children():
                process.terminate()
        self._workers.shutdown(cancel_futures=True)

    def wait(self, wanted: Wanted) -> None:
        """Return when all of these runs are stored, or noted in ``impossible``, by id; raises what any other failure has raised."""
        ids = {needed.id for _, specs in wanted for spec in specs for needed in (spec, *spec.inputs.values())}
        with self._changed:
            self._changed.wait_for(lambda: self._failure or not ids & {*self._waiting, *self._running})
            if isinstance(self._failure, BrokenProcessPool):
                raise PoolError("a process that computed runs has died (out of memory?): set JOBS=1; finished runs are kept")
            if self._failure:
                raise self._failure

    def _start(self) -> None:
        """Give free workers the first runs whose inputs are there."""
        for key, (study, spec) in list(self._waiting.items()):
            if len(self._running) == self._jobs:
                return
            reason = known_reason(spec, self.impossible)
            if reason:
                del self._waiting[key]
                self.impossible[key] = reason
                continue
            if any(needed.id in self._waiting or needed.id in self._running for needed in spec.inputs.values()):
                continue
            del self._waiting[key]
            self._running[key] = spec
            self._progress.begin(spec.label)
            self._workers.submit(_compute, study, spec).add_done_callback(lambda future, key=key: self._ended(key, future))

    def _ended(self, key: str, future: Future[None]) -> None:
        with self._changed:
            spec = self._running.pop(key)
            error = None if future.cancelled() else future.exception()
            if isinstance(error, REASONS):
                self.impossible[key] = why(type(error).__name__, str(error))
            elif error:
                self._failure = self._failure or error
                self._waiting.clear()
            self._progress.end(spec.seconds)
            self._start()
            self._changed.notify_all()


# What a worker process keeps from run to run: the loaded models.
_runners: list[Runners] = []


def _prepare(store: Store, threads: int) -> None:
    torch.set_num_threads(threads)
    disable_progress_bar()  # several at once are no progress, and the parent tells its own
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, and ends its workers
    _runners.append(Runners(store, _complain))
    parent = multiprocessing.parent_process()
    if parent is not None:
        # A worker whose parent was killed would wait for work for ever.
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def _complain(line: str) -> None:
    """What a worker has to say, such as of a damaged run: its parent tells the progress."""
    sys.stderr.write(line + "\n")


def _compute(study: Study, spec: RunSpec) -> None:
    _runners[0].of(study).run(spec)
