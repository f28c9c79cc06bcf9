"""An estimate with its interval, and the one for a proportion."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
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

    def text(self, digits: int = 2) -> str:
        """For readers; one observation has an estimate and no interval."""
        centre, ends = f"{self.estimate:.{digits}f}", f" [{self.low:.{digits}f}, {self.high:.{digits}f}]"
        return centre + ends if isfinite(self.low) and isfinite(self.high) else centre

    def __str__(self) -> str:
        return self.text()


def wilson(successes: float, total: float, level: float = 0.95) -> Interval:
    """A proportion with its Wilson interval (1927); with no trials the interval is [0, 1].

    Both may be fractional, where a trial is an average, or trials are worth less than they count.
    """
    if total == 0:
        return Interval(float("nan"), 0.0, 1.0, level)
    low, high = cast(tuple[float, float], proportion_confint(successes, total, alpha=1 - level, method="wilson"))
    # At the ends of its range the formula misses the share itself by its last digit.
    return Interval(successes / total, max(0.0, min(float(low), successes / total)), min(1.0, max(float(high), successes / total)), level)


def at_chance(found: Interval, chance: float) -> bool:
    """Whether the unedited model's accuracy in a format is not clearly above guessing, which is right so often: such a cell is void."""
    return found.low < chance + CHANCE_MARGIN
