"""One line an edit: what it achieved, what it cost, how far it moved the weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mechlib.report.aggregation import FACT, Rows, average, grouped
from mechlib.report.tables import label

Edits = Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]


def edit_summary(asked: Rows, curves: Rows, edits: Edits, damage: Rows, trained: str) -> pd.DataFrame:
    """A line for each localization and one for the unedited model.

    Shares are text with their intervals, over facts; a fact that is asked in several other prompts than the
    ``trained`` one counts once. ``text loss`` is the mean change of the next-token loss (nats) over texts.
    """
    records: list[dict[str, Any]] = []
    for key in dict.fromkeys(row["localization"] for row in asked):
        own = [row for row in asked if row["localization"] == key]
        forget = [row for row in own if row["group"] == "forget"]
        inside = [row for row in forget if row["format"] == trained]
        outside = [row for row in forget if row["format"] != trained]
        harm = [row["loss_after"] - row["loss_before"] for row in damage if row["localization"] == key]
        norms = [value["norm"] for arm, value in edits if arm["localization"] == key]
        steps = _steps([row for row in curves if row["localization"] == key])
        records.append({
            "localization": label(key),
            "edited (trained prompt)": _share(inside, "edited"),
            "edited (other prompts)": _share(outside, "edited"),
            "true (other prompts)": _share(outside, "correct"),
            "maintain": _share([row for row in own if row["group"] == "maintain" and row["format"] == trained], "correct"),
            "text loss": sum(harm) / len(harm) if harm else 0.0,
            "norm of the change": sum(norms) / len(norms) if norms else 0.0,
            "steps taken": steps,
        })  # fmt: skip
    return pd.DataFrame(records)


def _share(rows: Rows, outcome: str) -> str:
    return str(average(rows, outcome, fact=FACT)[0])


def _steps(curves: Rows) -> float:
    return len(curves) / len(grouped(curves, ["forget_set", "seed", "part"])) if curves else 0.0
