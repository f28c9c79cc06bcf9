"""Tables for readers: display names, shares with intervals, marked where they mean nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from mechlib.facts import FORMATS
from mechlib.facts.relations import RELATIONS
from mechlib.localize.registry import GIVEN, localizer, valid_keys
from mechlib.report import numerals
from mechlib.report.aggregation import Rows, aggregate
from mechlib.stats import Interval, at_chance

# Below it a p-value is only said to be.
LEAST_SHOWN = 0.001


def label(key: str) -> str:
    """How a localization or a format is called in a figure."""
    if key in valid_keys(key) or key == GIVEN:
        return localizer(key).label
    return FORMATS[key].label if key in FORMATS else key.capitalize()


def named(key: str) -> str:
    """The label within a phrase: its first word in small letters, unless it is an abbreviation."""
    first, space, rest = label(key).partition(" ")
    return (first if first[:2].isupper() else first.lower()) + space + rest


def joined(names: Sequence[str]) -> str:
    """Names within a sentence: "a, b and c"; empty if there are none."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def leading(localizations: Sequence[str]) -> str:
    """The localization that a page's prose is about: fact lookup where it is one of them, else the first."""
    return "fact_lookup" if "fact_lookup" in localizations else localizations[0]


def void_formats(rows: Rows) -> list[str]:
    """Formats in which the unedited model is not clearly above chance on the very facts that are edited: what every verdict goes by."""
    table, guessing = unedited_answers(rows).to_dict("records"), chance(rows)
    return [row["format"] for row in table if at_chance(Interval(row["share"], row["low"], row["high"]), guessing)]


def unedited_answers(rows: Rows) -> pd.DataFrame:
    """The unedited model's true answers about the facts that are edited, by format, as of :func:`aggregate`."""
    return aggregate([row for row in rows if row["localization"] == "unedited" and row["group"] == "forget"], ["format"], "correct")


def chance(rows: Rows) -> float:
    """How often guessing is right: one of a relation's options, or next to never where every token competes."""
    closed = {row.get("relation") for row in rows if not row.get("open")}
    options = [RELATIONS[one].options for one in closed if one in RELATIONS]
    return max((1 / len(found) for found in options if found), default=0.0)


def styled(frame: pd.DataFrame, formats: Mapping[str, str | Callable[[Any], str]] | None = None, index: bool = False) -> Any:
    """A table for readers: air between the cells, text that keeps its lines, a dash for no number, no row numbers unless asked for.

    Numbers are written as :mod:`mechlib.report.numerals` does, counts whole and measures with two decimals, where ``formats`` says
    nothing else.
    """
    # Tables that were put together have row numbers twice, which a style refuses; where they are not shown they may be any.
    # One rule for all cells: a rule and a name for each would be most of a page.
    style: Any = Styler(frame if index else frame.reset_index(drop=True), cell_ids=False)
    own = {name: numerals.column((formats or {}).get(name, numerals.cell)) for name in frame.columns}
    style = style.format(own, na_rep="-", escape="html")
    style = style.format_index(escape="html", axis=0).format_index(escape="html", axis=1)
    style = style if index else style.hide()
    look = "white-space: pre-wrap; text-align: left; padding: 0.2em 1em 0.2em 0; vertical-align: top"
    return style.set_table_styles([{"selector": "td", "props": look}])


def p_value(p: float | None) -> str:
    """A p-value for readers; ``None``: there is none."""
    return "none" if p is None else numerals.decimal(p, 3) if p >= LEAST_SHOWN else f"<{LEAST_SHOWN:g}"


def interval_table(table: pd.DataFrame, rows: Sequence[str], column: str, void: Sequence[str] = ()) -> pd.DataFrame:
    """A table for readers: rows by ``rows``, one column a ``column``, cells ``share [low, high]``; void columns say so."""
    text = table.assign(cell=[str(Interval(row["share"], row["low"], row["high"])) for row in table.to_dict("records")])
    wide = text.pivot_table(index=list(rows), columns=column, values="cell", aggfunc="first", sort=False)
    wide.columns = [f"{label(str(name))} (void: at chance)" if name in void else label(str(name)) for name in wide.columns]
    wide.index = [label(str(name)) for name in wide.index]
    return wide
