"""Differences between an edit at fact lookup and every other edit, described: a verdict needs a claim (see verdicts)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from mechlib.report.aggregation import FACT, Rows, fact_values
from mechlib.report.robustness import UNEDITED, Setting, arm_values, before_and_after, outcomes_of_attack, setting_name
from mechlib.report.tables import label, leading, p_value
from mechlib.stats import Comparison, Values, compare

# Columns of :func:`in_words`; a description has no p of a family.
IN_WORDS = ("difference", "forget sets", "least p", "p")


@dataclass(frozen=True)
class Duel:
    """The leading localization (``first``) against another, where both were ``asked`` the same.

    ``broken``: which of the two the attack broke, and whether the unedited model, too.
    """

    asked: str
    other: str
    first: Values
    second: Values
    broken: str = ""


def in_words(found: Comparison) -> tuple[str | int, ...]:
    """A comparison for readers: difference with its interval, forget sets, the least p possible, p, Holm's p; "none" with too few sets."""
    return str(found.difference), found.n_sets, *map(p_value, (found.least, found.p, found.adjusted))


def described(duels: Sequence[Duel], first: str) -> pd.DataFrame:
    """One line a duel: the paired difference in the share of true answers with its interval over forget sets, and exact p of its own.

    Columns: ``asked`` (where there are several), "... minus" (the other), ``IN_WORDS``, "broken by the attack".
    """
    columns = ["asked", f"{label(first)} minus", *IN_WORDS, "broken by the attack"]
    lines = [(one.asked, label(one.other), *in_words(compare(one.first, one.second, "lower"))[:-1], one.broken) for one in duels]
    table = pd.DataFrame(lines, columns=columns)
    table = table if table.asked.nunique() > 1 else table.drop(columns="asked")
    return table if any(one.broken for one in duels) else table.drop(columns="broken by the attack")


def after_attack(rows: Rows, settings: Sequence[Setting], name: str = "") -> list[Duel]:
    """Fact lookup and each other edit under settings of an attack, which may be called by ``name``."""
    found = list[Duel]()
    for setting, step in settings:
        asked = before_and_after(rows, setting, step)
        lines = outcomes_of_attack(asked, setting, step)
        arms = {key: arm_values(asked, key, setting, step) for key in _edits(rows)}
        found += _duels(name + setting_name(setting, step), arms, list(lines.localization[lines.void]))
    return found


def in_formats(rows: Rows, formats: Sequence[str]) -> list[Duel]:
    """Fact lookup and each other edit in these formats, which count equally; none without formats."""
    asked = [row for row in rows if row["group"] == "forget" and row["format"] in formats]
    arms = {key: fact_values([row for row in asked if row["localization"] == key], "correct", FACT, ["format"]) for key in _edits(rows)}
    return _duels("", arms) if formats else []


def from_lookup(rows: Rows, duels: Sequence[Duel]) -> pd.DataFrame:
    """:func:`described`, of the localization that leads in ``rows``."""
    return described(duels, leading(_edits(rows)))


def _edits(rows: Rows) -> list[str]:
    return [key for key in dict.fromkeys(row["localization"] for row in rows) if key != UNEDITED]


def _duels(asked: str, arms: Mapping[str, Values], broken: Sequence[str] = ()) -> list[Duel]:
    first = leading(list(arms))
    return [Duel(asked, key, arms[first], arms[key], ", ".join(label(one) for one in (UNEDITED, first, key) if one in broken))
            for key in arms if key != first]  # fmt: skip
