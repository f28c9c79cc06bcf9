"""Outcomes that are no answers of an edited model: what probes read inside it, and how selectively zeroed weights forget."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from mechlib.report.aggregation import Rows, grouped
from mechlib.report.audits import audit, readable
from mechlib.report.gates import Evidence

# What is compared, in words.
IN_WORDS = {
    "latent knowledge": "Of the log odds (nats) that probes give to the true answer at the last token of the prompt, averaged over layers "
                        "above the last one that either arm edited, where probes are readable in both arms and in the unedited model,",
    "weights masked": "Of the log odds, log p(true) - log p(target) in nats, of facts to forget minus the mean of those to maintain, in "
                      "the trained prompt and averaged over the numbers of zeroed weights that the masks of both arms reach,",
}  # fmt: skip


def probed(rows: Rows) -> Rows:
    """Of the rows of latent knowledge those that a claim is about: probes at the last token of the prompt, with ``odds``."""
    return [{**row, "odds": row["log_odds"]} for row in audit(rows, "probe", "prompt")]


def above_both(evidence: Evidence, arm: str, beside: str) -> Rows:
    """What probes read of an arm's edited facts in readable layers above the last that it or the arm ``beside`` it edited."""
    layers = readable([row for row in evidence.inside if row["localization"] in ("unedited", arm, beside)])
    both = {*layers.get(arm, ())} & {*layers.get(beside, ())}
    mine, theirs = (evidence.trains.get(key, {}) for key in (arm, beside))
    last = {number: max(*mine[number].layers, *theirs[number].layers) for number in mine.keys() & theirs.keys()}
    return [row for row in evidence.inside if row["localization"] == arm and row["layer"] in both
            and row["layer"] > last.get(row["forget_set"], row["layer"])]  # fmt: skip


def zeroed(rows: Rows, values: list[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Rows:
    """Answers of models with weights at zero, without the sizes that a mask does not reach; ``values``: of the same runs."""
    reached = {(arm["localization"], arm["forget_set"]): value["masked"] for arm, value in values}
    return [row for row in rows if row["size"] <= reached[row["localization"], row["forget_set"]]]


def selective(evidence: Evidence, arm: str, beside: str) -> Rows:
    """Each fact to forget at every number of zeroed weights that both arms reach: its ``odds`` and ``correct`` beyond facts to maintain.

    ``odds``: log p(true) - log p(target); from it, and from whether the answer is true, the mean of the facts to maintain is taken.
    """
    asked = [{**row, "odds": row["log_probability"] - row["target_log_probability"]} for row in evidence.zeroed
             if row["format"] == evidence.trained and row["target_log_probability"] is not None]  # fmt: skip
    own = grouped(asked, ["localization", "forget_set", "size", "group"])
    found: list[Mapping[str, Any]] = []
    for (key, number, size, group), rows in own.items():
        kept = own.get((arm, number, size, "maintain"))
        if (key, group) == (arm, "forget") and kept and (beside, number, size, "maintain") in own:
            odds, correct = (fmean(row[name] for row in kept) for name in ("odds", "correct"))
            found += [{**row, "odds": row["odds"] - odds, "correct": row["correct"] - correct} for row in rows]
    return found
