"""What two workers take for runs that take one worker so long, beside the plan, and beside the time left that was told on the way."""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path

import torch

from mechlib.runs.board import Wanted
from mechlib.runs.engines import at_once, place
from mechlib.runs.plan import plan
from mechlib.runs.progress import duration
from mechlib.runs.runner import Runners
from mechlib.runs.store import Store, default_store
from mechlib.runs.study import Study
from tests.bench.timing import say, seconds_of

_RUNS, _WORKERS = 16, 2
# Of so many steps that none ends early, at a rate that no kept run has: so all are computed, from kept evidence.
_STUDY = Study(profile="full", forget_sets=10, seeds=1, localizations=("fact_lookup", "random_mlps"), steps=4, learning_rate=1.1e-5)
_LEFT = re.compile(r"about ((\d+) min )?(\d+) s left")


def workers() -> None:
    """Sixteen edits by one worker of one thread, and by two."""
    wanted = [(_STUDY, [spec for _, spec in _STUDY.runs("edit")][:_RUNS])]
    told: list[tuple[float, float]] = []
    alone = _taken(wanted, 1, [])
    start = time.perf_counter()
    together, planned = _taken(wanted, _WORKERS, told)
    end = time.perf_counter() - start
    say(f"{_RUNS} edits of {_STUDY.size.steps} steps: one worker {duration(alone[0])}, {_WORKERS} workers {duration(together)}: "
        f"{alone[0] / together:.2f}x")  # fmt: skip
    say(f"  planned for {_WORKERS} workers: {duration(planned)}, {planned / together:.2f} of what was taken")
    at, left = next(((at, left) for at, left in told if at >= min(60.0, end / 4)), (end, 0.0))
    say(f"  told after {at:.0f} s: {left:.0f} s left, {left / max(end - at, 1e-9):.2f} of what was")


def _taken(wanted: Wanted, jobs: int, told: list[tuple[float, float]]) -> tuple[float, float]:
    """Seconds on a store of its own, and those that were planned. ``told``: filled with seconds since the start and seconds left."""
    start = time.perf_counter()

    def heard(line: str) -> None:
        if found := _LEFT.search(line):
            told.append((time.perf_counter() - start, 60.0 * int(found[2] or 0) + int(found[3])))

    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder), default_store().kept)
        made = plan(wanted, store, place(wanted, store, jobs))
        threads = torch.get_num_threads()
        torch.set_num_threads(1 if jobs == 1 else threads)
        try:
            def compute() -> None:
                if jobs == 1:
                    Runners(store).wait(wanted)
                    return
                with at_once(wanted, store, heard, made) as engine:
                    engine.wait(wanted)

            return seconds_of(compute), max(sum(made.seconds.values()) / jobs, made.longest)
        finally:
            torch.set_num_threads(threads)
