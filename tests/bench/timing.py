"""Seconds of what is done again and again, and lines of the console."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def seconds_of(work: Callable[[], object]) -> float:
    """How long one call takes, an accelerator's part included."""
    _wait()
    start = time.perf_counter()
    work()
    _wait()
    return time.perf_counter() - start


def median_seconds(work: Callable[[], object], times: int = 5) -> float:
    """Median over several calls, after one that warms up."""
    work()
    return statistics.median(seconds_of(work) for _ in range(times))


def _wait() -> None:
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
