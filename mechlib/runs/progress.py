"""How long work tells where it is: one line a run, with the time left."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

Say = Callable[[str], None]


def duration(seconds: float) -> str:
    """``95`` as ``1 min 35 s``."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


@dataclass
class Progress:
    """Counts runs, and estimates the time left from what the finished ones took against their declared costs."""

    say: Say
    costs: list[float]
    begun: int = 0
    finished: float = 0.0
    started: float = field(default_factory=time.monotonic)
    label: str = ""
    _last: float = 0.0

    def begin(self, label: str) -> None:
        """A run starts; others may not be complete yet."""
        self.begun += 1
        self.label = label
        self._last = time.monotonic()
        self.say(f"  run {self.begun}/{len(self.costs)}  {label}{self._left()}")

    def inside(self, done: int, of: int) -> None:
        """The latest run is at step ``done`` of ``of``; said at most every 20 seconds."""
        if time.monotonic() - self._last > 20 and done < of:
            self._last = time.monotonic()
            self.say(f"  run {self.begun}/{len(self.costs)}  {self.label}: {done}/{of}{self._left()}")

    def end(self, cost: float) -> None:
        """A run with that declared cost is complete."""
        self.finished += cost

    def _left(self) -> str:
        if not self.finished:
            return ""
        pace = (time.monotonic() - self.started) / self.finished
        return f"   about {duration(pace * (sum(self.costs) - self.finished))} left"
