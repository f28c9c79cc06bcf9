"""Several missing runs at once, each in a process with one share of the processor: small models leave most of many threads idle."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager, nullcontext
from multiprocessing import resource_tracker
from types import TracebackType

import psutil
import torch
from transformers.utils.logging import disable_progress_bar

from mechlib.errors import MechlibError
from mechlib.runs.impossible import REASONS, why
from mechlib.runs.memory import memory
from mechlib.runs.plan import Plan
from mechlib.runs.progress import Progress, Say
from mechlib.runs.runner import Runner, Runners, known_reason, next_run
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
        store.sweep()
        self._store, self._studies = store, {spec.id: study for study, spec in missing}
        self._waiting = {spec.id: spec for _, spec in missing}
        self._running: dict[str, RunSpec] = {}
        self._failure: BaseException | None = None
        self.impossible: dict[str, str] = {}
        self._jobs, self._changed = jobs, threading.Condition()
        self._progress = Progress(say, [spec.seconds for spec in self._waiting.values()])
        threads = max(1, (psutil.cpu_count(logical=False) or 1) // jobs)
        self._workers = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _prepare, (store, threads))
        # A process starts with each of the first tasks: they import while whoever made this gets ready to enter it.
        with _no_interrupts():
            for _ in range(jobs):
                self._workers.submit(int)

    def __enter__(self) -> Pool:
        with self._changed:
            self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        with self._changed:
            self._waiting.clear()
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            for process in multiprocessing.active_children():
                process.kill()
        self._workers.shutdown(cancel_futures=True)
        self._store.sweep()

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
        while len(self._running) < self._jobs and (spec := next_run(self._waiting, self._running, self._store)):
            del self._waiting[spec.id]
            if reason := known_reason(spec, self.impossible):
                self.impossible[spec.id] = reason
                self._progress.end(spec.seconds)
                continue
            # Another command may have computed it meanwhile.
            if self._store.has(spec, files=True):
                self._progress.end(spec.seconds)
                continue
            self._running[spec.id] = spec
            self._progress.begin(spec.label)
            ended = self._workers.submit(_compute, self._studies[spec.id], spec)
            ended.add_done_callback(lambda future, key=spec.id: self._ended(key, future))

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


@contextmanager
def _no_interrupts() -> Generator[None]:
    """Processes that start within never hear Ctrl-C, not even while they import: their parent does, and ends them."""
    resource_tracker.ensure_running()  # started later, it would let the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# What a worker process keeps from run to run: the loaded models.
_runners: list[Runners] = []


def _prepare(store: Store, threads: int) -> None:
    torch.set_num_threads(threads)
    disable_progress_bar()  # several at once are no progress, and the parent tells its own
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
