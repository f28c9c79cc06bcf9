"""Outcomes that are no answers of an edited model: what probes read inside it, and how selectively zeroed weights forget."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import pandas as pd

from mechlib.report.aggregation import FACT, Rows, aggregate, average, fact_values, grouped, mean_over_sets
from mechlib.report.audits import audit, readable
from mechlib.report.claims import MISSED
from mechlib.report.gates import Evidence
from mechlib.report.tables import label
from mechlib.runs.once import once

# The values of runs, each with the columns that say which run it is of.
Values = Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]
# Probabilities are nearer to 0 or 1 than this only by rounding.
_SURE = 1e-6
# What is compared, in words.
IN_WORDS = {
    "latent knowledge": "Of the log odds (nats) that probes give to the true answer at the last token of the prompt, averaged over layers "
                        "above the last one that either arm edited, where probes are readable in both arms and in the unedited model,",
    "weights masked": "Of the log odds in nats (log p(true) - log p(target); where a relation has few answers, of the true one against all "
                      "others) of facts to forget minus the mean of those to maintain, in the trained prompt and averaged over the "
                      "numbers of zeroed weights that the masks of both arms reach,",
    MISSED: "Of the share of the planted weights that a method does not name, where each forget set is a place with a model of its own,",
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


def zeroed(rows: Rows, values: Values) -> Rows:
    """Answers of models with weights at zero, without the sizes that a mask does not reach; ``values``: of the same runs."""
    reached = {(arm["localization"], arm["forget_set"]): value["masked"] for arm, value in values}
    return [row for row in rows if row["size"] <= reached[row["localization"], row["forget_set"]]]


def shared_sizes(rows: Rows) -> Rows:
    """Of :func:`zeroed` the numbers of weights that the masks of all localizations and forget sets reach."""
    runs = grouped(rows, ["localization", "forget_set"])
    sizes = set[int].intersection(*({row["size"] for row in own} for own in runs.values())) if runs else set[int]()
    return [row for row in rows if row["size"] in sizes]


def selective(evidence: Evidence, arm: str, beside: str) -> Rows:
    """Each fact to forget at every number of zeroed weights that both arms reach: its ``odds`` and ``correct`` beyond facts to maintain.

    ``odds``: log odds (nats); from them, and from whether the answer is true, the mean of the facts to maintain is taken.
    """
    own = _by_group(evidence)
    found: list[Mapping[str, Any]] = []
    for (key, number, size, group), rows in own.items():
        kept = own.get((arm, number, size, "maintain"))
        if (key, group) == (arm, "forget") and kept and (beside, number, size, "maintain") in own:
            odds, correct = (fmean(row[name] for row in kept) for name in ("odds", "correct"))
            found += [{**row, "odds": row["odds"] - odds, "correct": row["correct"] - correct} for row in rows]
    return found


def by_size(evidence: Evidence) -> pd.DataFrame:
    """What is left with more and more weights at zero, for readers, in the trained prompt: a line a localization and number of weights.

    Of facts to forget and to maintain the share of true answers, with its interval, and the mean log odds (nats).
    """
    lines: list[tuple[Any, ...]] = []
    answers = grouped(_with_odds(evidence), ["localization", "size"])
    order = list(dict.fromkeys(key for key, _ in answers))
    for (key, size), rows in sorted(answers.items(), key=lambda one: (order.index(one[0][0]), one[0][1])):
        parts = [[row for row in rows if row["group"] == group] for group in ("forget", "maintain")]
        shares = [str(average(part, "correct", fact=FACT)[0]) for part in parts]
        odds = [mean_over_sets(fact_values(part, "odds", FACT)) for part in parts]
        lines.append((label(key), size, len({row["forget_set"] for row in rows}), *shares, *odds))
    columns = ["localization", "weights at zero", "forget sets", "forget", "maintain", "log odds, forget", "log odds, maintain"]
    return pd.DataFrame(lines, columns=columns)


def telling_size(rows: Rows) -> int:
    """The number of weights at zero at which localizations leave the most different shares of true answers; of several, the least."""
    shares: Any = aggregate(rows, ["size", "localization"], "correct").groupby("size").share
    return int((shares.max() - shares.min()).idxmax())


def reach(values: Values) -> pd.DataFrame:
    """How many weights are localized and how many masks have left 1, for readers: a line a localization, means over its runs."""
    lines = [(label(key), sets, fmean(one["weights"] for one in own), fmean(one["masked"] for one in own))
             for key, (sets, own) in _by_localization(values).items()]  # fmt: skip
    return pd.DataFrame(lines, columns=["localization", "forget sets", "localized weights", "masks below 1"])


def by_mechanism(values: Values, size: int) -> pd.DataFrame:
    """What share of each mechanism a localization covers, and what share is zero at this size, for readers: means over its runs."""
    lines: list[dict[str, Any]] = []
    for key, (sets, own) in _by_localization(values).items():
        parts = {"covers": [one["covered"] for one in own], "zeroes": [one["zeroed"][str(size)] for one in own]}
        shares = {f"{verb} {same[0]['mechanism']}": fmean(one["share"] for one in same)
                  for verb, found in parts.items() for same in zip(*found, strict=True)}  # fmt: skip
        lines.append({"localization": label(key), "forget sets": sets, **shares})
    return pd.DataFrame(lines)


def _by_localization(values: Values) -> dict[str, tuple[int, list[Mapping[str, Any]]]]:
    """The values of each localization's runs, and of how many forget sets they are."""
    found: dict[str, tuple[int, list[Mapping[str, Any]]]] = {}
    for key in dict.fromkeys(arm["localization"] for arm, _ in values):
        own = [(arm["forget_set"], value) for arm, value in values if arm["localization"] == key]
        found[key] = len({number for number, _ in own}), [value for _, value in own]
    return found


@once
def _by_group(evidence: Evidence) -> Mapping[tuple[Any, ...], Rows]:
    return grouped(_with_odds(evidence), ["localization", "forget_set", "size", "group"])


def _with_odds(evidence: Evidence) -> Rows:
    """Answers with weights at zero in the trained prompt, with their log odds."""
    return [{**row, "odds": odds} for row in evidence.zeroed if row["format"] == evidence.trained and (odds := _odds(row)) is not None]


def _odds(row: Mapping[str, Any]) -> float | None:
    """Log odds of the true answer over the target; where answers compete in a closed relation over all others, as facts to maintain have no
    target there. ``None`` for a fact of an open relation without one.
    """
    if row.get("open") is False:
        share = min(max(row["probability"], _SURE), 1 - _SURE)
        return math.log(share) - math.log(1 - share)
    return None if row["target_log_probability"] is None else row["log_probability"] - row["target_log_probability"]
