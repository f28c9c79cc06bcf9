"""Intervals, exact tests and verdicts over rows, in one place: every page that draws a conclusion draws it from here."""

from mechlib.stats.bootstrap import DRAWS, Values, paired_difference
from mechlib.stats.comparison import Comparison, Verdict, compare, equivalent, holm_adjusted, verdict
from mechlib.stats.interval import CHANCE_MARGIN, Interval, at_chance, wilson
from mechlib.stats.leakage import leak_at_k
from mechlib.stats.p_values import ENOUGH_SETS, holm, sign_flip
from mechlib.stats.recovery import LEAST_GAP, recovery

__all__ = [
    "CHANCE_MARGIN", "Comparison", "DRAWS", "ENOUGH_SETS", "Interval", "LEAST_GAP", "Values", "Verdict", "at_chance", "compare",
    "equivalent", "holm", "holm_adjusted", "leak_at_k", "paired_difference", "recovery", "sign_flip", "verdict", "wilson",
]  # fmt: skip
