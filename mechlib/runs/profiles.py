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
    learning_rates: tuple[float, ...]
    forget_coefficients: tuple[float, ...]
    mask_steps: int
    mask_sizes: tuple[int, ...]


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("quick", n_sets=2, n_seeds=1, steps=10, n_localize=32, n_test=32, n_damage_texts=8, rotations=1,
                learning_rates=(5e-5, 1e-4, 2e-4), forget_coefficients=(1.0,),
                mask_steps=15, mask_sizes=(1_000, 3_000, 10_000, 30_000, 100_000, 300_000)),
        Profile("full", n_sets=8, n_seeds=3, steps=50, n_localize=64, n_test=64, n_damage_texts=32, rotations=4,
                learning_rates=(2e-5, 5e-5, 1e-4, 2e-4, 5e-4), forget_coefficients=(0.2, 1.0, 5.0),
                mask_steps=50, mask_sizes=(1_000, 3_000, 10_000, 30_000, 100_000, 300_000)),
    )
}  # fmt: skip
