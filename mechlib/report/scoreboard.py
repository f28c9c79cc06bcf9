"""Every localization over every attack: the strongest attacker that left the model whole, and how edits differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from mechlib.attacks.registry import ATTACKS
from mechlib.report.aggregation import Rows
from mechlib.report.differences import Duel, after_attack
from mechlib.report.robustness import BEFORE, outcomes, setting_name, shared_setting, strongest
from mechlib.report.tables import label
from mechlib.stats import Interval

ANY = "any"


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
        # Where no attack brought anything back, none of them is the strongest.
        idle = top["strongest"] == setting_name(BEFORE, 0)
        strongest_name = "before any attack" if idle else f"{attack_label(top['attack'])}: {top['strongest']}"
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


def differences_by_attack(attacks: Mapping[str, Rows]) -> list[Duel]:
    """Fact lookup and each other edit under every attack, at the one setting that all its edits share."""
    return [duel for name, rows in attacks.items()
            for duel in after_attack(rows, [shared_setting(outcomes(rows))], f"{attack_label(name).lower()}: ")]  # fmt: skip
