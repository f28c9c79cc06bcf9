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


# Against so many declared seconds, taken as declared, are all finished runs believed, and against all of these those of one stage. So a
# first run that waits for a model to load does not say that everything takes a thousand times as long.
_BELIEF, _OF_A_STAGE = 30.0, 10.0


@dataclass
class Progress:
    """Counts runs, and estimates the time left from what finished ones took against their declared costs, stage by stage.

    ``costs``: of all runs, by stage and declared cost. A stage that takes longer than declared says little about others: each has a pace
    of its own, as far as its own runs tell. Runs can be at work side by side.
    """

    say: Say
    costs: list[tuple[str, float]]
    begun: int = 0
    label: str = ""
    clock: Callable[[], float] = time.monotonic
    _last: float = 0.0
    _since: dict[str, float] = field(default_factory=dict)
    _done: dict[str, float] = field(default_factory=dict)
    _declared: dict[str, float] = field(default_factory=dict)
    _taken: dict[str, float] = field(default_factory=dict)
    _started: float | None = None

    def begin(self, label: str) -> None:
        """A run starts; others may not be complete yet."""
        self.begun += 1
        self.label = label
        self._last = self.clock()
        self._since[label] = self._last
        self._started = self._last if self._started is None else self._started
        self.say(f"  run {self.begun}/{len(self.costs)}  {label}{self._left()}")

    def inside(self, done: int, of: int) -> None:
        """The latest run is at step ``done`` of ``of``; said at most every 20 seconds."""
        if self.clock() - self._last > 20 and done < of:
            self._last = self.clock()
            self.say(f"  run {self.begun}/{len(self.costs)}  {self.label}: {done}/{of}{self._left()}")

    def end(self, label: str, stage: str, cost: float) -> None:
        """A run with that declared cost is complete, or was found to be there."""
        self._done[stage] = self._done.get(stage, 0.0) + cost
        if label in self._since:
            self._declared[stage] = self._declared.get(stage, 0.0) + cost
            self._taken[stage] = self._taken.get(stage, 0.0) + self.clock() - self._since.pop(label)

    def left(self) -> float | None:
        """Seconds, or ``None`` while no run is complete."""
        declared, taken = sum(self._declared.values()), sum(self._taken.values())
        if not declared or not taken or self._started is None:
            return None
        waiting: dict[str, float] = {}
        for stage, cost in self.costs:
            waiting[stage] = waiting.get(stage, 0.0) + cost
        usual = (taken + _BELIEF) / (declared + _BELIEF)
        paces = {stage: (self._taken.get(stage, 0.0) + _OF_A_STAGE * usual) / (self._declared.get(stage, 0.0) + _OF_A_STAGE)
                 for stage in waiting}  # fmt: skip
        # What runs at work have done already is not left.
        now = self.clock()
        work = sum(max(0.0, cost - self._done.get(stage, 0.0)) * paces[stage] for stage, cost in waiting.items())
        begun = sum(now - since for since in self._since.values())
        together = max(1.0, (taken + begun) / max(now - self._started, 1e-9))
        return max(0.0, work - begun) / together

    def _left(self) -> str:
        seconds = self.left()
        return "" if seconds is None else f"   about {duration(seconds)} left"
