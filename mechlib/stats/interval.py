"""An estimate with its interval, and the one for a proportion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from statsmodels.stats.proportion import proportion_confint

# A format tells nothing about an edit if the unedited model cannot use it.
CHANCE_MARGIN = 0.10


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval, at 95 % unless ``level`` says otherwise."""

    estimate: float
    low: float
    high: float
    level: float = 0.95

    def __str__(self) -> str:
        return f"{self.estimate:.2f} [{self.low:.2f}, {self.high:.2f}]"


def wilson(successes: float, total: int) -> Interval:
    """A proportion with its Wilson interval (1927); with no trials the interval is [0, 1].

    ``successes`` may be fractional, where a trial is an average.
    """
    if total == 0:
        return Interval(float("nan"), 0.0, 1.0)
    low, high = cast(tuple[float, float], proportion_confint(successes, total, method="wilson"))
    return Interval(successes / total, max(0.0, float(low)), min(1.0, float(high)))


def at_chance(correct: float, total: int, chance: float) -> bool:
    """Whether the unedited model's accuracy in a format is not clearly above guessing, which is right so often: such a cell is void."""
    return wilson(correct, total).low < chance + CHANCE_MARGIN
