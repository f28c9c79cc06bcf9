"""What parameters come to that nobody gives: the values of profiles and tasks. Given in so many words, they change nothing."""

from __future__ import annotations

from typing import Any

from mechlib.attacks.registry import ATTACKS, settings
from mechlib.runs.profiles import PROFILES
from mechlib.runs.tasks import TASKS


def usual(profile: str, task: str) -> dict[str, Any]:
    """What comes of each parameter that is not given and whose value is the profile's or the task's, not the model's."""
    size, kind = PROFILES[profile], TASKS[task]
    # One answer for everybody, or none, is reached in a step, when the facts to keep have lost theirs too: no reason to stop.
    stops = kind.forget == "sets" and kind.loss == "injection"
    domain, asked = kind.domain, size.formats
    published = domain.published[0] if asked is None else None
    return {
        "forget_sets": size.n_sets if kind.scale == 1 else 1, "seeds": size.n_seeds,
        "steps": size.steps if stops and size.stop_at < 1 else size.fixed_steps,
        "stop_at": size.stop_at if stops else 1.0, "micro_batch": size.micro_batch, "localizations": size.localizations,
        "known_format": published or domain.known_format, "edit_format": published or domain.edit_format,
        "formats": domain.published if asked is None else tuple(form for form in domain.formats if form in asked),
        **{name: settings(name, profile, None) for name in ATTACKS},
    }  # fmt: skip


def as_usual(name: str, value: Any, profile: str, task: str) -> bool:
    """Whether a parameter's value is what would come of it if it were not given."""
    default = usual(profile, task)
    if name == "forget_sets" and default[name] > PROFILES[profile].n_attacked_sets:
        return False  # given, it also says how many are attacked
    if name in ATTACKS:
        try:
            value = settings(name, profile, value)
        except ValueError:
            return False
    return name in default and (tuple(value) if isinstance(value, list) else value) == default[name]
