"""The best of a localization's trials, by the paper's criterion, which looks at no measure of robustness."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mechlib.runs.context import Context
from mechlib.runs.result import Result


def compute(context: Context, config: Mapping[str, Any], inputs: Mapping[str, Result], folder: Path) -> Result:
    """Rows are all trials; the value is the chosen learning rate and forget coefficient."""
    rows = [outcome(trial) for trial in inputs.values()]
    best = max(rows, key=lambda row: row["score"])
    return Result(rows, {"learning_rate": best["learning_rate"], "forget_coefficient": best["forget_coefficient"]})


def outcome(trial: Result) -> dict[str, Any]:
    """Edit, forget and maintain accuracy of a trial, and the sum that the paper maximizes over its sweeps.

    (1 - forget) + maintain + edit, less the change of the text loss in nats; the paper adds the
    accuracy on the Pile in its place. An unlearned fact has no edit accuracy.
    """
    forget = [row for row in trial.rows if row["group"] == "forget"]
    maintain = [row for row in trial.rows if row["group"] == "maintain"]

    def share(rows: list[Mapping[str, Any]], what: str) -> float:
        return sum(row[what] for row in rows) / len(rows)

    aimed = any(row["target"] is not None for row in forget)
    found = {"forget": share(forget, "correct"), "edit": share(forget, "edited") if aimed else 0.0, "maintain": share(maintain, "correct")}
    score = 1 - found["forget"] + found["maintain"] + found["edit"] - trial.value["text"]
    return {**trial.value, **found, "score": score}
