"""An estimate with its interval, and the one for a proportion."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite
from typing import cast

# A format tells nothing about an edit if the unedited model cannot use it.
CHANCE_MARGIN = 0.10


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval, at 95 % unless ``level`` says otherwise. Raises ``ValueError`` for a level that is no probability."""

    estimate: float
    low: float
    high: float
    level: float = 0.95

    def __post_init__(self) -> None:
        check_level(self.level)

    def text(self, digits: int = 2) -> str:
        """For readers; one observation has an estimate and no interval, and no zero a sign."""
        centre, ends = f"{self.estimate:z.{digits}f}", f" [{self.low:z.{digits}f}, {self.high:z.{digits}f}]"
        return centre + ends if isfinite(self.low) and isfinite(self.high) else centre

    def __str__(self) -> str:
        return self.text()


def check_level(level: float) -> None:
    """Raises ``ValueError`` unless a level of confidence is between 0 and 1."""
    if not 0 < level < 1:
        raise ValueError(f"a level of {level} is not between 0 and 1: 0.95 is usual")


def wilson(successes: float, total: float, level: float = 0.95) -> Interval:
    """A proportion with its Wilson interval (1927); with no trials the interval is [0, 1].

    Both may be fractional, where a trial is an average, or trials are worth less than they count. Raises
    ``ValueError`` for successes that are not within 0 and the total.
    """
    if not 0 <= successes <= total < inf:
        raise ValueError(f"{successes} successes are not within 0 and {total} trials")
    if total == 0:
        return Interval(float("nan"), 0.0, 1.0, level)
    # Imported where it is wanted: a plan wants none.
    from statsmodels.stats.proportion import proportion_confint

    share = successes / total
    low, high = cast(tuple[float, float], proportion_confint(successes, total, alpha=1 - level, method="wilson"))
    # At the ends of its range the formula misses the share itself by its last digit.
    return Interval(share, max(0.0, min(float(low), share)), min(1.0, max(float(high), share)), level)


def at_chance(found: Interval, chance: float) -> bool:
    """Whether the unedited model's accuracy in a format is not clearly above guessing, which is right so often: such a cell is void."""
    return found.low < chance + CHANCE_MARGIN
