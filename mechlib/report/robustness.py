"""What attacks brought back: shares with intervals, against what an attack teaches by itself, and where it only broke the model.

Rows are those of :mod:`mechlib.runs.stages.attack`, averaged by :mod:`mechlib.report.aggregation`: sets count equally.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import pandas as pd

from mechlib.report import numerals
from mechlib.report.aggregation import FACT, Rows, aggregate, average, fact_values, grouped, mean_over_sets
from mechlib.report.published import RELEARNING_SETTING, published_relearning
from mechlib.report.tables import chance, label
from mechlib.stats import Interval, leak_at_k, recovery

# The setting of answers before an attack, as mechlib.runs.stages.attack writes it (whose import would bring every stage along).
BEFORE = "none"
# Below this share of its maintain accuracy before the attack, an attacked model is broken and not robust.
KEPT = 0.9
GROUPS = ("forget", "relearned", "maintain", "floor", "unknown")
UNEDITED = "unedited"
Setting = tuple[str, int]
_ATTACK = ["localization", "attack", "null", "setting", "step"]


def setting_label(setting: str) -> str:
    """How a setting is called: its learning rate, where it ends with one, is written as all are."""
    start, comma, rate = setting.rpartition(", ")
    try:
        return f"{start}{comma}{numerals.rate(float(rate))}" if comma else setting
    except ValueError:
        return setting


def setting_name(setting: str, step: int) -> str:
    """How a setting and step of an attack are called."""
    if setting == BEFORE:
        return "before the attack"
    return f"{setting_label(setting)}, {step} steps" if step else setting_label(setting)


def settings_table(settings: Sequence[tuple[str, Any]]) -> pd.DataFrame:
    """An attack's settings for readers: one line each, several values side by side."""
    values = [value if isinstance(value, tuple) else (value,) for _, value in settings]
    texts = [", ".join(numerals.rate(one) if isinstance(one, float) else str(one) for one in several) for several in values]
    return pd.DataFrame({"setting": [name.replace("_", " ") for name, _ in settings], "tried": texts})


def outcomes(rows: Rows) -> pd.DataFrame:
    """Shares of true answers: one line for each localization, attack, null, setting and step, in the order of the rows.

    ``null`` is ``""`` for the attack itself. ``forget`` comes with the interval of
    :func:`mechlib.report.aggregation.average` (``low``, ``high``), over ``n_facts`` facts of ``n_sets``
    sets, and with ``edited``, the share of edit targets among them; ``relearned``, ``maintain`` and
    ``floor`` and ``unknown`` are the other groups (NaN without facts); ``never``: the never-known facts that an attack is measured
    against, those that were edited (``floor``) where there are some, else ``unknown``;
    ``before`` and ``before_maintain`` are what ``forget`` and ``maintain`` were before the attack.
    ``void``: maintain accuracy fell below ``KEPT`` of that, or was not above chance before.
    """
    records: list[dict[str, Any]] = []
    for names, answers in grouped([{"null": "", **row} for row in rows], _ATTACK).items():
        groups = {group: part for (group,), part in grouped(answers, ["group"]).items()}
        tested = fact_values(groups["forget"], "correct", FACT)
        edited = mean_over_sets(fact_values(groups["forget"], "edited", FACT))
        shares = {group: mean_over_sets(fact_values(groups[group], "correct", FACT)) if group in groups else math.nan for group in GROUPS}
        never = shares["unknown"] if math.isnan(shares["floor"]) else shares["floor"]
        n_facts, (found, _) = sum(map(len, tested.values())), average(groups["forget"], "correct", fact=FACT)
        records.append({**dict(zip(_ATTACK, names, strict=True)), **shares, "never": never, "edited": edited,
                        "n_sets": len(tested), "n_facts": n_facts, "low": found.low, "high": found.high})  # fmt: skip
    table = pd.DataFrame(records)
    own = ["localization", "attack", "null"]
    before: Any = table[table.setting == BEFORE][[*own, "forget", "maintain"]]
    table = table.merge(before.rename(columns={"forget": "before", "maintain": "before_maintain"}), on=own, how="left")
    # A model that had nothing to keep cannot be seen to lose it.
    broken = (table.maintain < KEPT * table.before_maintain) | (table.before_maintain <= chance(rows))
    return table.assign(void=broken & (table.setting != BEFORE))


def arm_values(
    rows: Rows, localization: str, setting: str, step: int, outcome: str = "correct", group: str = "forget"
) -> dict[int, list[float]]:
    """:func:`fact_values` of one localization under one attack (not under its nulls)."""
    where = (localization, group, setting, step)
    own = [row for row in rows if (row["localization"], row["group"], row["setting"], row["step"]) == where and not row.get("null")]
    return fact_values(own, outcome, FACT)


def before_and_after(rows: Rows, setting: str, step: int) -> list[Mapping[str, Any]]:
    """The rows before an attack and at one setting and step of it, without its nulls."""
    wanted = ((BEFORE, 0), (setting, step))
    return [row for row in rows if (row["setting"], row["step"]) in wanted and not row.get("null")]


def outcomes_of_attack(rows: Rows, setting: str, step: int) -> pd.DataFrame:
    """The lines of :func:`outcomes` of one setting and step of an attack, without its nulls."""
    table: Any = outcomes(before_and_after(rows, setting, step))
    return table[(table.setting == setting) & (table.step == step)].reset_index(drop=True)


def recoveries(rows: Rows, setting: str, step: int) -> pd.DataFrame:
    """What one attack recovered, by localization: the lines of :func:`outcomes_of_attack` with ``recovery``, an interval or ``None``.

    The normalised recovery is 0 for what the attack taught about never-known facts on the same model (``never``),
    and 1 for the unedited model under the same attack, which has none itself. There is none either
    where the attack broke one of the two models, where nothing was unknown, and where
    :func:`mechlib.stats.recovery` gives none.
    """
    rows = before_and_after(rows, setting, step)
    table = outcomes_of_attack(rows, setting, step)
    broken = set(table.localization[table.void])
    reference = arm_values(rows, UNEDITED, setting, step)
    found: list[Interval | None] = []
    for key in table.localization:
        null = arm_values(rows, key, setting, step, group=never_group(rows))
        possible = key != UNEDITED and not broken & {key, UNEDITED} and null.keys() == reference.keys()
        found.append(recovery(arm_values(rows, key, setting, step), null, reference) if possible else None)
    return table.assign(recovery=found)


def never_group(rows: Rows) -> str:
    """The group of never-known facts that an attack is measured against: those that were edited, where there are some."""
    return "floor" if any(row["group"] == "floor" for row in rows) else "unknown"


def recovery_table(table: pd.DataFrame) -> pd.DataFrame:
    """A table of :func:`recoveries` for readers: shares as decimals, intervals as text; what was broken is "void"."""
    return pd.DataFrame(
        [
            {
                "localization": label(row["localization"]),
                "true before": numerals.decimal(row["before"]),
                "true after": "void" if row["void"] else str(Interval(row["forget"], row["low"], row["high"])),
                "never known, after": "none" if math.isnan(row["never"]) else numerals.decimal(row["never"]),
                "normalised recovery": _normalised(row),
                "maintain": f"{numerals.decimal(row['before_maintain'])} to {numerals.decimal(row['maintain'])}",
            }
            for row in table.to_dict("records")
        ]
    )


def _normalised(row: dict[Any, Any]) -> str:
    if row["void"]:
        return "void"
    return "reference" if row["localization"] == UNEDITED else str(row["recovery"] or "undefined")


def shared_setting(table: pd.DataFrame) -> Setting:
    """The one setting and step of an attack's :func:`outcomes` under which all edits are compared.

    Of those that break the fewest models, the one that brings back most on average over the edits, so
    that it is chosen for none of them. Raises ``ValueError`` for a table without an attack.
    """
    tried: Any = table[(table.null == "") & (table.setting != BEFORE)]
    if tried.empty:
        raise ValueError("no attack was tried: there is no setting to compare edits under")
    broken = tried.groupby(["setting", "step"], sort=False).void.sum()
    back = tried[tried.localization != UNEDITED].groupby(["setting", "step"], sort=False).forget.mean()
    setting, step = back[broken == broken.min()].idxmax()
    return str(setting), int(step)


def strongest(table: pd.DataFrame) -> pd.DataFrame:
    """For each localization the setting and step of :func:`outcomes` that brings back most without breaking the model.

    Leaving the model as it is counts as a setting, so the strongest is never weaker than that. ``tried`` counts the
    attacks, ``broke`` names those that are void.
    """
    records: list[dict[str, Any]] = []
    own: Any = table[table.null == ""]
    for key, part in own.groupby("localization", sort=False):
        lines: list[dict[Any, Any]] = part.to_dict("records")
        attacks = [row for row in lines if row["setting"] != BEFORE]
        best = max((row for row in lines if not row["void"]), key=lambda row: row["forget"])
        broke = [setting_name(row["setting"], row["step"]) for row in attacks if row["void"]]
        records.append({
            "localization": key, "strongest": setting_name(best["setting"], best["step"]), "share": best["forget"], "low": best["low"],
            "high": best["high"], "tried": len(attacks), "broke": "; ".join(broke) or "none",
        })  # fmt: skip
    return pd.DataFrame(records)


def strongest_table(table: pd.DataFrame) -> pd.DataFrame:
    """A table of :func:`strongest` for readers."""
    lines: list[dict[Any, Any]] = table.to_dict("records")
    return pd.DataFrame(
        [
            {"localization": label(row["localization"]), "strongest attack": row["strongest"], "settings tried": row["tried"],
             "true after": str(Interval(row["share"], row["low"], row["high"])), "void": row["broke"]}
            for row in lines
        ]
    )  # fmt: skip


def taught_table(rows: Rows) -> pd.DataFrame:
    """What relearning taught, for readers, by localization, setting and step: see :mod:`mechlib.report.gates`.

    The share of true answers about the half that is taught, and log p(true) - log p(target) (nats) of both halves; "-"
    where facts have no edit target.
    """
    records: list[dict[str, Any]] = []
    for (key, setting, step), own in grouped([row for row in rows if not row.get("null")], ["localization", "setting", "step"]).items():
        halves = {group: [row for row in own if row["group"] == group] for group in ("relearned", "forget")}
        odds = {group: [{**row, "odds": row["log_probability"] - row["target_log_probability"]} for row in half
                        if row["target_log_probability"] is not None] for group, half in halves.items()}  # fmt: skip
        said = {group: str(average(half, "odds", "number", FACT)[0]) if half else "-" for group, half in odds.items()}
        records.append({"localization": label(key), "setting": setting_name(setting, step),
                        "taught half": str(average(halves["relearned"], "correct", fact=FACT)[0]),
                        "taught half, log odds": said["relearned"], "tested half, log odds": said["forget"]})  # fmt: skip
    return pd.DataFrame(records)


def crossing_table(rows: Rows) -> pd.DataFrame:
    """What rounding leaves of the change of an edit, a line a localization and scheme: means over edits."""
    records = [(label(key), scheme, fmean(row["changed"] for row in own), fmean(row["crossed"] / row["changed"] for row in own),
                fmean(row["kept"] for row in own)) for (key, scheme), own in grouped(rows, ["localization", "scheme"]).items()]  # fmt: skip
    return pd.DataFrame(records, columns=["localization", "scheme", "weights changed", "crossed", "kept"])


def leaks(rows: Rows, samples: Sequence[int]) -> pd.DataFrame:
    """Probability that the true answer is among this many samples of the unattacked model, averaged over facts, with its interval.

    One line for each localization, group (``forget``, and ``floor`` or else ``unknown``) and number of samples: columns
    ``samples``, ``share``, ``low``, ``high``. Computed and not sampled, which is exact for answers of one token.
    """
    groups = ("forget", never_group(rows))
    before = [row for row in before_and_after(rows, BEFORE, 0) if row["group"] in groups]
    # A softmax in single precision can pass 1 in its last digit.
    leaked = [{**row, "samples": count, "leaked": leak_at_k(min(1.0, math.exp(row["log_probability"])), count)}
              for count in samples for row in before]  # fmt: skip
    return aggregate(leaked, ["localization", "group", "samples"], "leaked", fact=FACT)


def published_setting(table: pd.DataFrame) -> Setting:
    """The paper's own setting of relearning where these :func:`outcomes` have it, else the shared one."""
    setting, step = RELEARNING_SETTING
    return RELEARNING_SETTING if ((table.setting == setting) & (table.step == step)).any() else shared_setting(table)


def beside_published(rows: Rows, setting: str, step: int) -> pd.DataFrame:
    """The paper's mean probabilities of true answers about athletes after relearning beside ours, on tested and on maintained facts."""
    theirs = published_relearning("sports-athlete-editing").set_index("localization")
    records: list[dict[str, Any]] = []
    for key in dict.fromkeys(row["localization"] for row in rows):
        record: dict[str, Any] = {"localization": label(key)}
        for group in ("forget", "maintain"):
            sets = arm_values(rows, key, setting, step, "probability", group)
            record[f"paper, {group}"] = theirs[f"{group} relearned"].get(label(key), math.nan)
            record[f"here, {group}"] = mean_over_sets(sets)
        records.append(record)
    return pd.DataFrame(records)
