"""A claim about two arms, from paired values to a verdict by one rule."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from mechlib.stats.balanced import balanced
from mechlib.stats.bootstrap import Values, stacked
from mechlib.stats.clustered import clustered
from mechlib.stats.interval import Interval
from mechlib.stats.p_values import ENOUGH_SETS, holm, least_p, set_interval, sign_flip

Better = Literal["higher", "lower"]
Verdict = Literal["supported", "contradicted", "equivalent", "undecided", "undecidable", "no inference"]
SIGNIFICANT = 0.05
MARGIN = 0.10


@dataclass(frozen=True)
class Comparison:
    """What ``first - second`` is, and what may be said of it.

    ``difference`` and ``narrow`` are the 95 % and 90 % intervals that the sign-flip test over forget
    sets implies; ``p`` is its p-value and ``least`` the smallest one that gaps of these sizes could
    give; ``adjusted`` is Holm's p over the family of ``family`` comparisons that this one was declared
    in. With fewer than ``ENOUGH_SETS`` sets there is no p: ``narrow``, ``p``, ``least`` and
    ``adjusted`` are ``None``, and ``difference`` is over facts.
    """

    difference: Interval
    narrow: Interval | None
    p: float | None
    least: float | None
    adjusted: float | None
    n_sets: int
    n_facts: int
    better: Better
    margin: float
    family: int = 1

    @property
    def equivalent(self) -> bool:
        """Whether the arms are the same within the margin: two one-sided tests at 5 % (Schuirmann, 1987), here exact ones over sets."""
        return self.narrow is not None and -self.margin < self.narrow.low and self.narrow.high < self.margin

    @property
    def verdict(self) -> Verdict:
        """A direction needs an adjusted p of at most .05; else the arms are equivalent, if they are; else nothing is known.

        A small difference can be both real and within the margin: then the direction is the verdict.
        *Undecidable*: even if all sets had agreed, the p of this line, adjusted as the first of its family, would have been
        above .05.
        """
        if self.adjusted is None or self.least is None:
            return "no inference"
        if self.adjusted <= SIGNIFICANT:
            return "supported" if (self.difference.estimate > 0) == (self.better == "higher") else "contradicted"
        if self.equivalent:
            return "equivalent"
        return "undecidable" if self.least * self.family > SIGNIFICANT else "undecided"


def compare(
    first: Values, second: Values, better: Better, margin: float = MARGIN, kinds: Mapping[int, Hashable] | None = None
) -> Comparison:
    """Compare two arms that are paired by fact, as a family of one claim: that ``first`` is ``better`` than ``second``.

    The forget set is the unit: facts of one set share one edit. ``kinds``: of forget sets, each of which counts alike
    (:func:`mechlib.stats.balanced.balanced`, whose p has no least one); ``None``: all sets are of one kind. Raises ``ValueError`` if
    the arms do not hold the same sets and facts, if there are none, if a value is not finite, if ``margin`` is not
    positive, and if ``better`` is neither word.
    """
    if not margin > 0:
        raise ValueError(f"a margin of {margin} is not positive")
    if better not in get_args(Better):
        raise ValueError(f"better={better!r}: give {' or '.join(get_args(Better))}")
    gaps = {key: facts[:, 0] - facts[:, 1] for key, facts in zip(sorted(first), stacked(first, second), strict=True)}
    n_sets, n_facts, means = len(gaps), sum(map(len, gaps.values())), [float(gap.mean()) for gap in gaps.values()]
    if n_sets < ENOUGH_SETS:
        over_facts = clustered({key: gap.tolist() for key, gap in gaps.items()})
        return Comparison(over_facts, None, None, None, None, n_sets, n_facts, better, margin)
    if kinds is not None:
        found = balanced(dict(zip(sorted(first), means, strict=True)), kinds)
        return Comparison(found.interval, found.narrow, found.p, 0.0, found.p, n_sets, n_facts, better, margin)
    p = sign_flip(means)
    return Comparison(set_interval(means), set_interval(means, 0.90), p, least_p(means), p, n_sets, n_facts, better, margin)


def holm_adjusted(comparisons: Mapping[str, Comparison]) -> dict[str, Comparison]:
    """The same comparisons with p-values adjusted over all of them that have one (Holm), and so with the verdicts of a family."""
    adjusted = holm({name: one.p for name, one in comparisons.items() if one.p is not None})
    return {name: replace(one, adjusted=adjusted.get(name), family=max(1, len(adjusted))) for name, one in comparisons.items()}
