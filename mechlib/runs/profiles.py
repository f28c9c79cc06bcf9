"""Profiles: how much of an experiment is run. Parameters of a page override them one by one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Profile:
    """Sizes of a study. Only ``full`` has enough forget sets for inference (see :mod:`mechlib.stats`)."""

    name: str
    n_sets: int
    n_seeds: int
    steps: int
    n_localize: int
    n_test: int
    n_damage_texts: int
    rotations: int


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("quick", n_sets=2, n_seeds=1, steps=10, n_localize=32, n_test=32, n_damage_texts=8, rotations=1),
        Profile("full", n_sets=8, n_seeds=3, steps=50, n_localize=64, n_test=64, n_damage_texts=32, rotations=4),
    )
}
