"""Attacks by their keys: what each does, in words, and how hard it tries in each profile. A new attack is a stage and an entry here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mechlib.runs.checks import ParameterError

Settings = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class AttackPlan:
    """``definition`` is what a page says beside its numbers.

    ``folds``: whether the attacker holds one half of the forget set and is tested on the other, then
    the reverse. ``nulls``: the same attack without the knowledge, by the settings that differ.
    """

    key: str
    label: str
    stage: str
    definition: str
    settings: Mapping[str, Mapping[str, Any]]
    folds: bool = False
    nulls: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


_NULLS = {"permuted answers": {"labels": "permuted"}, "retain facts only": {"labels": "none"}}
ATTACKS = {
    plan.key: plan
    for plan in (
        AttackPlan(
            "relearning", "Relearning", "relearn",
            "LoRA on every linear layer, trained on the true answers of one half of the forget set, on retain facts and on text; "
            "asked about the other half.",
            {"quick": {"ranks": [8], "learning_rates": [5e-4], "steps": 6, "checkpoints": [3, 6]},
             "full": {"ranks": [8, 512], "learning_rates": [5e-5, 2e-4, 1e-3], "steps": 20, "checkpoints": [5, 10, 20]},
             "paper": {"ranks": [512], "learning_rates": [2e-4], "steps": 20, "checkpoints": [10, 20]}},
            folds=True, nulls=_NULLS,
        ),
        AttackPlan(
            "benign", "Benign fine-tuning", "benign",
            "LoRA trained on a few examples that say nothing about the forget set: unrelated text, the same template about other facts, "
            "prose on the same topic.",
            {"quick": {"kinds": ["unrelated", "same template", "same topic"], "sizes": [4], "steps": 5, "learning_rate": 5e-4, "rank": 8},
             "full": {"kinds": ["unrelated", "same template", "same topic"], "sizes": [8, 24], "steps": 20, "learning_rate": 2e-4,
                      "rank": 8}},
        ),
        AttackPlan(
            "quantization", "Quantization", "quantize",
            "Weights of all attention layers and MLPs rounded to 8 or 4 bits; embeddings and norms stay.",
            {"quick": {"schemes": ["int4_64", "nf4"]}, "full": {"schemes": ["bfloat16", "int8", "int4_128", "int4_64", "nf4"]}},
        ),
        AttackPlan(
            "direction", "Direction removal", "direction",
            "The mean difference between the edited and the unedited stream, taken on one half of the forget set, is projected out of "
            "every layer; asked about the other half.",
            {"quick": {"layers": "all"}, "full": {"layers": "all"}},
            folds=True,
        ),
        AttackPlan(
            "in_context", "In-context demonstrations", "demonstrate",
            "True facts stand before the question, those of one half of the forget set first; asked about the other half.",
            {"quick": {"shots": [4]}, "full": {"shots": [4, 8]}},
            folds=True,
        ),
        AttackPlan(
            "soft_prompt", "Soft prompt", "soften",
            "A few learned vectors before every question, trained on the true answers of one half of the forget set; asked about the other "
            "half.",
            {"quick": {"tokens": 4, "steps": 5, "learning_rate": 0.05},
             "full": {"tokens": 4, "steps": 64, "learning_rate": 0.02, "restarts": 2}},
            folds=True, nulls={"permuted answers": {"labels": "permuted"}},
        ),
    )
}  # fmt: skip


def settings(key: str, profile: str, given: Any) -> Settings:
    """The profile's settings with those that are given in their place, as pairs; raises :class:`ParameterError` for unknown ones.

    ``given`` is a dictionary, or such pairs. A profile without settings of its own has those of ``full``.
    """
    usual = ATTACKS[key].settings.get(profile) or ATTACKS[key].settings["full"]
    known = sorted({name for settings in ATTACKS[key].settings.values() for name in settings})
    try:
        changed: dict[Any, Any] = dict(given or {})
        unknown = [name for name in changed if name not in known]
    except (TypeError, ValueError):
        changed, unknown = {}, [given]
    if unknown:
        raise ParameterError(f"{key.upper()}: '{unknown[0]}' is no setting: give a dictionary of {', '.join(known)}")
    return tuple((name, _fixed(value)) for name, value in sorted({**usual, **changed}.items()))


def _fixed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else value
