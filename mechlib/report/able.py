"""Can the unedited model answer in the formats that only some claims ask for? Where it cannot, an edit is not told from not knowing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mechlib.report import numerals
from mechlib.report.aggregation import Rows, grouped
from mechlib.report.tables import label
from mechlib.runs.knowledge import certainty
from mechlib.stats import Interval, wilson

Able = Mapping[str, Interval]


def able(known: Rows, asked: Rows, threshold: float) -> Able:
    """By format, the share of the facts that the unedited model knows which it gives there, too (Wilson, 95 %).

    ``known``: its answers in the format that decides what it knows, which is what gets more than ``threshold``; ``asked``: in the others.
    """
    sure = {_fact(row) for row in known if certainty(row) > threshold}
    found = grouped([row for row in asked if _fact(row) in sure], ["format"])
    return {form: wilson(sum(row["correct"] for row in rows), len(rows)) for (form,), rows in found.items()}


def in_words(found: Able) -> str:
    """What the unedited model gives in each format, for readers."""
    return f"the unedited model gives {', '.join(f'{share} ({label(form)})' for form, share in found.items())}"


def asked_beyond(formats: Sequence[str], found: Able) -> str:
    """What the table says of the ``formats`` that only some claims ask for, or why there is no table; "" where there are no formats."""
    if not formats:
        return ""
    named = ("Some claims are about formats of their own, and no edit can be tested in words that the unedited model cannot answer in. "
             f"Such formats of this task: {', '.join(label(form) for form in formats)}.")  # fmt: skip
    if not found:
        return f"{named} The unedited model was not asked in them here."
    return (f"{named} Of the facts that the unedited model knows, the share that it also gives in such a format, with its 95 % interval, "
            "and the gate, which is the share that a claim about the format asks for: where the model gives less, the claim is not "
            "testable on it.")  # fmt: skip


def table(found: Able, gate: float) -> pd.DataFrame:
    """A line a format: what the unedited model gives there, and how much of it a claim asks for."""
    asked = numerals.decimal(gate)
    return pd.DataFrame(
        [(label(form), str(share), asked) for form, share in found.items()], columns=["format", "known facts given", "gate"]
    )


def _fact(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["relation"], row["subject"]
