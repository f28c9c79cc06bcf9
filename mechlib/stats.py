"""Intervals over rows, in one place: Wilson for one proportion, bootstrap over sets and facts for differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from statsmodels.stats.proportion import proportion_confint

# Below six forget sets an exact sign-flip test cannot reach .05, so no verdict is drawn (6 gives .031).
ENOUGH_SETS = 6
# A format tells nothing about an edit if the unedited model cannot use it.
CHANCE_MARGIN = 0.10


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval."""

    estimate: float
    low: float
    high: float

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


def paired_difference(
    first: Mapping[int, Sequence[float]], second: Mapping[int, Sequence[float]], seed: int = 0, draws: int = 4000
) -> Interval:
    """Mean of ``first - second`` over facts, resampling forget sets and then the facts of each.

    Both give, for each forget set, one value a fact in the same order. Raises ``ValueError`` if
    they do not pair up.
    """
    if first.keys() != second.keys() or any(len(first[key]) != len(second[key]) for key in first):
        raise ValueError("the two arms hold different forget sets or facts")
    gaps = [np.asarray(first[key], float) - np.asarray(second[key], float) for key in sorted(first)]
    generator = np.random.default_rng(seed)
    means = np.empty(draws)
    for draw in range(draws):
        sets = generator.integers(len(gaps), size=len(gaps))
        means[draw] = np.mean([generator.choice(gaps[index], size=len(gaps[index])).mean() for index in sets])
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(np.mean([gap.mean() for gap in gaps])), float(low), float(high))


Verdict = Literal["supported", "contradicted", "undecided", "no inference"]


def verdict(difference: Interval, n_sets: int, better: Literal["higher", "lower"]) -> Verdict:
    """What an interval says about a claim: it must exclude zero, and rest on enough forget sets."""
    if n_sets < ENOUGH_SETS:
        return "no inference"
    above, below = difference.low > 0, difference.high < 0
    if not (above or below):
        return "undecided"
    return "supported" if above == (better == "higher") else "contradicted"


def at_chance(correct: float, total: int, n_options: int) -> bool:
    """Whether the unedited model's accuracy in a format is not clearly above guessing: such a cell is void."""
    return wilson(correct, total).low < 1 / n_options + CHANCE_MARGIN
