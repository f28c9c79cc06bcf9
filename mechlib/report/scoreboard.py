"""Every localization over every attack: the strongest attacker that left the model whole, and one family of verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mechlib.attacks.registry import ATTACKS
from mechlib.report.aggregation import FACT, Rows, fact_values
from mechlib.report.robustness import UNEDITED, arm_values, outcomes, outcomes_of_attack, setting_name, shared_setting, strongest
from mechlib.report.tables import label, leading
from mechlib.report.verdicts import Duel, judged
from mechlib.stats import Interval

ANY = "any"
# The declared rivals of fact lookup: the same kind and number of weights chosen blindly, all weights of that kind, and output tracing.
# With eight forget sets an exact test can support six comparisons and no more: these three in other formats and under relearning.
RIVALS = ("random_mlps", "all_mlps", "causal_tracing")


def attack_label(key: str) -> str:
    """How an attack, or the strongest of all, is called."""
    return "The strongest" if key == ANY else ATTACKS[key].label


def scoreboard(attacks: Mapping[str, Rows]) -> pd.DataFrame:
    """One line for each localization and attack, as of :func:`mechlib.report.robustness.strongest`, and for the strongest of all (``any``).

    An attack's step or setting that broke the model counts for nothing; if all did, the model before the attack is what is left.
    """
    lines = pd.concat([strongest(outcomes(rows)).assign(attack=name) for name, rows in attacks.items()], ignore_index=True)
    best: list[dict[Any, Any]] = []
    for key, part in lines.groupby("localization", sort=False):
        top: dict[Any, Any] = max(part.to_dict("records"), key=lambda row: row["share"])
        strongest_name = f"{attack_label(top['attack'])}: {top['strongest']}"
        best.append({**top, "localization": key, "attack": ANY, "strongest": strongest_name, "tried": int(part.tried.sum()), "broke": ""})
    return pd.concat([lines, pd.DataFrame(best)], ignore_index=True)


def scoreboard_table(board: pd.DataFrame) -> pd.DataFrame:
    """A scoreboard for readers: localizations by attacks, the share that came back with its interval."""
    cells = board.assign(cell=[str(Interval(row["share"], row["low"], row["high"])) for row in board.to_dict("records")])
    wide: Any = cells.pivot_table(index="localization", columns="attack", values="cell", aggfunc="first", sort=False)
    wide.columns = [attack_label(name) for name in wide.columns]
    wide.index = [label(str(key)) for key in wide.index]
    return wide


def attackers(board: pd.DataFrame) -> pd.DataFrame:
    """Who the strongest attacker of each localization is, out of how many, for readers."""
    part: Any = board[board.attack == ANY]
    return pd.DataFrame({
        "localization": [label(str(key)) for key in part.localization], "strongest attacker": list(part.strongest),
        "share": [str(Interval(row["share"], row["low"], row["high"])) for row in part.to_dict("records")],
        "settings tried": list(part.tried),
    })  # fmt: skip


def overall_verdicts(
    attacks: Mapping[str, Rows], asked: Rows, formats: Sequence[str], rivals: Sequence[str] = (), void: bool = False
) -> pd.DataFrame:
    """Fact lookup against other edits: in other formats, then under every attack at its shared setting, as one declared family.

    ``rivals``: the localizations that it is compared with, all others if none of them was run. ``asked``: answers of the unattacked
    models in all formats. Columns and ``void`` as of :func:`mechlib.report.verdicts.judged`.
    """
    arms = [key for key in dict.fromkeys(row["localization"] for row in asked) if key != UNEDITED]
    first, duels = leading(arms), list[Duel]()
    others = [key for key in arms if key != first and key in rivals] or [key for key in arms if key != first]
    if formats:
        forget = [row for row in asked if row["group"] == "forget" and row["format"] in formats]
        said = {key: fact_values([row for row in forget if row["localization"] == key], "correct", FACT, ["format"]) for key in arms}
        duels += [Duel("other formats", key, said[first], said[key]) for key in others]
    for name, rows in attacks.items():
        setting, step = shared_setting(outcomes(rows))
        lines = outcomes_of_attack(rows, setting, step)
        broken = set(lines.localization[lines.void])
        back = {key: arm_values(rows, key, setting, step) for key in arms}
        what = f"{attack_label(name).lower()}: {setting_name(setting, step)}"
        duels += [Duel(what, key, back[first], back[key], bool(broken & {first, key})) for key in others]
    return judged(duels, first, "lower", void)
