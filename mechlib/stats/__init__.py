"""Intervals, exact tests and verdicts over rows, in one place: every page that draws a conclusion draws it from here."""

from mechlib.stats.balanced import balanced
from mechlib.stats.bootstrap import Values
from mechlib.stats.clustered import clustered, crossed, share
from mechlib.stats.comparison import MARGIN, SIGNIFICANT, Better, Comparison, Verdict, compare, holm_adjusted
from mechlib.stats.interval import CHANCE_MARGIN, Interval, at_chance, wilson
from mechlib.stats.leakage import leak_at_k
from mechlib.stats.mixed import Effect, mixed
from mechlib.stats.p_values import ENOUGH_SETS, holm, least_p, set_interval, sign_flip
from mechlib.stats.recovery import LEAST_GAP, recovery

__all__ = [
    "CHANCE_MARGIN", "ENOUGH_SETS", "LEAST_GAP", "MARGIN", "SIGNIFICANT", "Better", "Comparison", "Effect", "Interval", "Values",
    "Verdict", "at_chance", "balanced", "clustered", "compare", "crossed", "holm", "holm_adjusted", "leak_at_k", "least_p", "mixed",
    "recovery", "set_interval", "share", "sign_flip", "wilson",
]  # fmt: skip
