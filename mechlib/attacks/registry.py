"""Every attack by its key. A new attack is one file that ends with its :class:`Attack`, and one line here."""

from __future__ import annotations

from typing import Any

from mechlib.attacks.attack import Attack
from mechlib.attacks.benign import BENIGN
from mechlib.attacks.direction import DIRECTION
from mechlib.attacks.in_context import IN_CONTEXT
from mechlib.attacks.quantization import QUANTIZATION
from mechlib.attacks.relearning import RELEARNING
from mechlib.attacks.soft_prompt import SOFT_PROMPT
from mechlib.errors import meant, shown

# A setting's name and its value, sorted by name: hashable, as a study's parameters are.
Settings = tuple[tuple[str, Any], ...]

ATTACKS: dict[str, Attack] = {
    attack.key: attack for attack in (RELEARNING, BENIGN, QUANTIZATION, DIRECTION, IN_CONTEXT, SOFT_PROMPT)
}


def settings(key: str, profile: str, given: Any) -> Settings:
    """The profile's settings with those that are given in their place, as pairs; raises ``ValueError`` for unknown ones.

    ``given`` is a dictionary, or such pairs. A profile without settings of its own has those of ``full``.
    """
    if key not in ATTACKS:
        raise ValueError(f"{shown(key)} is no attack{meant(key, ATTACKS)}: choose {', '.join(ATTACKS)}")
    usual = ATTACKS[key].settings.get(profile) or ATTACKS[key].settings["full"]
    known = sorted({name for settings in ATTACKS[key].settings.values() for name in settings})
    try:
        changed: dict[Any, Any] = dict(given or {})
        unknown = [name for name in changed if name not in known]
    except (TypeError, ValueError):
        changed, unknown = {}, [given]
    if unknown:
        wrong = f"{key.upper()}: {shown(unknown[0])} is no setting{meant(unknown[0], known)}"
        raise ValueError(f"{wrong}: give a dictionary of {', '.join(known)}")
    return tuple((name, _fixed(value)) for name, value in sorted({**usual, **changed}.items()))


def _fixed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else value
