"""Verdicts of a page: an edit at fact lookup against every other edit, as one family of claims that is declared beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import pandas as pd

from mechlib.report.aggregation import FACT, Rows, fact_values
from mechlib.report.robustness import UNEDITED, Setting, arm_values, before_and_after, outcomes_of_attack, setting_name
from mechlib.report.tables import label, leading
from mechlib.stats import Better, Comparison, Values, compare, holm_adjusted

# Columns of :func:`in_words`.
IN_WORDS = ("difference", "forget sets", "least p", "p", "p (Holm)")


@dataclass(frozen=True)
class Duel:
    """One comparison of a family: the leading localization (``first``) against another, where both were ``asked`` the same.

    ``void``: one of the two models was broken.
    """

    asked: str
    other: str
    first: Values
    second: Values
    void: bool = False


def in_words(found: Comparison) -> tuple[str | int, ...]:
    """A comparison for readers: difference with its interval, forget sets, the least p possible, p, Holm's p; "none" with too few sets."""
    return str(found.difference), found.n_sets, *("none" if p is None else f"{p:.3f}" for p in (found.least, found.p, found.adjusted))


def judged(duels: Sequence[Duel], first: str, better: Better, void: bool = False) -> pd.DataFrame:
    """One line a duel: the paired difference, exact sign-flip p, Holm's over all of them, verdict. A void one counts in the family.

    Columns: ``asked`` (where there are several), "... minus" (the other), "difference", "forget sets",
    "least p", "p", "p (Holm)", "verdict". With too few forget sets p is "none", the verdict "no inference".
    ``void``: the unedited model cannot answer in the format that edits are trained on, so that no line has a verdict.
    """
    found = holm_adjusted({str(number): compare(duel.first, duel.second, better) for number, duel in enumerate(duels)})
    columns = ["asked", f"{label(first)} minus", *IN_WORDS, "verdict"]
    lines = [
        (duel.asked, label(duel.other), *in_words(one), "void" if void or duel.void else one.verdict)
        for duel, one in zip(duels, found.values(), strict=True)
    ]
    table = pd.DataFrame(lines, columns=columns)
    return table if table.asked.nunique() > 1 else table.drop(columns="asked")


def verdicts(rows: Rows, settings: Sequence[Setting], better: Better = "lower", void: bool = False) -> pd.DataFrame:
    """Does less come back after an edit at fact lookup than after each other edit? One family over ``settings`` and localizations.

    Void where the attack broke one of the two models. See :func:`judged`.
    """
    localizations, duels = _edits(rows), list[Duel]()
    for setting, step in settings:
        asked = before_and_after(rows, setting, step)
        lines = outcomes_of_attack(asked, setting, step)
        arms = {key: arm_values(asked, key, setting, step) for key in localizations}
        duels += _duels(setting_name(setting, step), arms, set(lines.localization[lines.void]))
    return judged(duels, leading(localizations), better, void)


def format_verdicts(rows: Rows, formats: Sequence[str], better: Better = "lower", void: bool = False) -> pd.DataFrame:
    """Does the old answer come up less in these formats, which count equally? Without formats there is nothing to judge."""
    localizations = _edits(rows)
    asked = [row for row in rows if row["group"] == "forget" and row["format"] in formats]
    arms = {key: fact_values([row for row in asked if row["localization"] == key], "correct", FACT, ["format"]) for key in localizations}
    return judged(_duels("", arms) if formats else [], leading(localizations), better, void)


def _edits(rows: Rows) -> list[str]:
    return [key for key in dict.fromkeys(row["localization"] for row in rows) if key != UNEDITED]


def _duels(asked: str, arms: Mapping[str, Values], broken: Set[str] = frozenset()) -> list[Duel]:
    first = leading(list(arms))
    return [Duel(asked, key, arms[first], arms[key], bool(broken & {first, key})) for key in arms if key != first]
