"""Several missing runs at once, each in a process with one share of the processor: small models leave most of many threads idle."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import TracebackType
from typing import Any

import psutil
import torch

from mechlib.errors import MechlibError
from mechlib.runs.board import Board, Wanted
from mechlib.runs.memory import memory
from mechlib.runs.progress import Say
from mechlib.runs.runner import Runners, next_run
from mechlib.runs.spec import RunSpec
from mechlib.runs.store import Store
from mechlib.runs.study import Study

# Bytes for a process with a small model and what it computes: of a computer's memory, and of a card's, where libraries and larger
# batches need more (8.7 GiB were measured there with the embedded model).
_LEAST, _LEAST_OF_A_CARD = 3 * 10**9, 10**10


def room(studies: Sequence[Study], store: Store, free: int) -> int:
    """How many processes: one a core, as far as ``free`` bytes, an accelerator's if there is one, go for the largest edit in each.

    Beside an accelerator each process has a model in the computer's memory while it loads.
    """
    # Whatever a run does with a model, it takes about as much as an edit of it.
    edits = [memory(study, study.edit(key, 0, 0), store) for study in studies for key in study.localizations or ()]
    cores, largest = psutil.cpu_count(logical=False) or 1, max((edit.total for edit in edits), default=0)
    if torch.accelerator.current_accelerator(check_available=True) is None:
        return min(cores, free // max(_LEAST, largest))
    loading = max((edit.parts["weights"] for edit in edits), default=0)
    return min(cores, free // max(_LEAST_OF_A_CARD, largest), psutil.virtual_memory().available // max(_LEAST, loading))


class PoolError(MechlibError, RuntimeError):
    """A process that computed runs has died; the message says what to do."""


class Pool(Board):
    """Computes runs in the order given, inputs first, each in a process with its share of the cores.

    A context manager: leaving it lets the runs that are being computed end, and starts no others.
    """

    def __init__(self, wanted: Wanted, store: Store, jobs: int, say: Say) -> None:
        super().__init__(wanted, store, say)
        self._jobs = jobs
        threads = max(1, (psutil.cpu_count(logical=False) or 1) // jobs)
        self._workers = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _prepare, (store, threads))
        # A process starts with each of the first tasks: they import while whoever made this gets ready to enter it.
        with _no_interrupts():
            for _ in range(jobs):
                self._submit(int)

    def __enter__(self) -> Pool:
        with self.changed:
            self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        with self.changed:
            self.waiting.clear()
        if kind is not None and issubclass(kind, KeyboardInterrupt | PoolError):
            _end_workers()
        self._workers.shutdown(cancel_futures=True)
        self.store.sweep()

    def _start(self) -> None:
        """Give free workers the first runs whose inputs are there."""
        while len(self.running) < self._jobs and (spec := next_run(self.waiting, self.running, self.store)):
            del self.waiting[spec.id]
            if self.settled(spec):
                self.progress.end(spec.label, spec.stage.name, spec.seconds)
                continue
            self.running[spec.id] = spec
            self.progress.begin(spec.label)
            ended = self._submit(_compute, self.studies[spec.id], spec)
            ended.add_done_callback(lambda future, spec=spec: self._ended(spec, future))

    def _ended(self, spec: RunSpec, future: Future[None]) -> None:
        error = None if future.cancelled() else future.exception()
        with self.changed:
            self.ended(spec, _died() if isinstance(error, BrokenProcessPool) else error)
            try:
                self._start()
            except Exception as raised:  # in a callback nobody hears of it, and whoever waits would wait for ever
                self.fail(raised)

    def _submit(self, task: Callable[..., object], *given: object) -> Future[Any]:
        """Have a worker do it. Raises :class:`PoolError` if one has died just now."""
        try:
            return self._workers.submit(task, *given)
        except BrokenProcessPool:
            _end_workers()
            raise _died() from None


def _end_workers() -> None:
    """End those that work and those that wait: one that was starting when another died is forgotten by the executor, and joined."""
    for process in multiprocessing.active_children():
        process.kill()


def _died() -> PoolError:
    return PoolError("a process that computed runs has died (out of memory?): set JOBS=1; finished runs are kept")


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
    from transformers.utils.logging import disable_progress_bar  # in the processes that load models

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
