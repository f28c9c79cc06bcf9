"""Profiles: how much of an experiment is run. Parameters of a page override them one by one."""

from __future__ import annotations

from dataclasses import dataclass

from mechlib.facts import FORMATS
from mechlib.localize.localizer import Lookup
from mechlib.localize.registry import LOCALIZERS, PAPER

# Every method that can look for MLPs, where facts were planted.
SEEKERS = ("fact_lookup", *(key for key, method in LOCALIZERS.items() if method.evidence and method.group == "mlps"))


@dataclass(frozen=True)
class Profile:
    """Sizes of a study. Only ``full`` has enough forget sets for inference (see :mod:`mechlib.stats`).

    ``steps`` is the most that an edit takes, which stops at ``stop_at`` (1: never before; see
    :class:`mechlib.edit.config.EditConfig`); whole answers and unlearning take all of their ``fixed_steps``. A step has so many retain
    prompts and texts (of ``n_train_texts``, ``text_length`` tokens each), and of large forget sets so many forget prompts, at most
    ``micro_batch`` at once. ``texts``: a corpus for models of the hub; ``None``: the model's own samples. ``n_floor``: never-known facts
    that are edited beside each forget set: what an attack brings back of them is what it brings of itself. A sequential
    edit has at most ``most_parts`` parts. ``n_validate``: facts that hyperparameters are tried on, at most a forget
    set; ``n_asked``: so many facts are compared over all formats (``None``: all); ``n_circuits``: facts on which
    circuits are tried; ``n_planted``: so many invented facts are planted, in ``plant_steps`` at most;
    ``n_unknown``: never-known facts that attacks are tested on; ``n_attacked_sets``: so many of
    the forget sets are attacked and audited, all if a study says how many it has; ``n_folds``: 2 if the attacker
    holds either half of the forget set in turn; ``n_nulls``: so many of an attack's nulls are run, on
    ``n_null_sets`` forget sets: they say what an attack teaches, not which edit is better. ``compared``: facts (by
    how fact lookup finds its layers) on which all methods are compared, and not only those that localizations need. ``formats``:
    those of a task that are asked; ``None``: known, edited and asked in the paper's. ``seekers``: the
    localizations that look for planted facts.
    """

    name: str
    n_sets: int
    n_seeds: int
    steps: int
    fixed_steps: int
    n_localize: int
    n_test: int
    n_validate: int
    n_circuits: int
    n_train_texts: int
    text_length: int
    texts: str | None
    n_damage_texts: int
    rotations: int
    learning_rates: tuple[float, ...]
    forget_coefficients: tuple[float, ...]
    mask_steps: int
    mask_sizes: tuple[int, ...]
    stop_at: float
    retain_batch: int
    text_batch: int
    forget_batch: int
    micro_batch: int | None
    most_parts: int
    n_asked: int | None
    n_unknown: int
    n_floor: int
    n_attacked_sets: int
    n_folds: int
    n_nulls: int
    n_planted: int
    plant_steps: int
    n_null_sets: int
    localizations: tuple[str, ...]
    formats: tuple[str, ...] | None
    compared: tuple[Lookup, ...]
    seekers: tuple[str, ...]


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("quick", n_sets=2, n_seeds=1, steps=24, fixed_steps=12, n_localize=8, n_test=16, n_validate=8, n_circuits=8,
                n_train_texts=16, text_length=24, texts=None, n_damage_texts=3, rotations=1, learning_rates=(1e-4, 2e-4),
                forget_coefficients=(1.0,), mask_steps=6, mask_sizes=(1_000, 10_000, 100_000), stop_at=0.98, retain_batch=8, text_batch=1,
                forget_batch=16, micro_batch=None, most_parts=2, n_asked=128, n_unknown=12, n_floor=8, n_attacked_sets=1,
                n_folds=1, n_nulls=1, n_planted=120, plant_steps=120, n_null_sets=1,
                localizations=("fact_lookup", "causal_tracing", "random_mlps"),
                formats=tuple(form for form in FORMATS if form != "paraphrase_2"), compared=("probe",),
                seekers=("fact_lookup", "causal_tracing_mlps", "attribution_patching_mlps")),
        Profile("full", n_sets=8, n_seeds=3, steps=100, fixed_steps=50, n_localize=64, n_test=64, n_validate=16, n_circuits=64,
                n_train_texts=32, text_length=24, texts=None, n_damage_texts=8, rotations=4,
                learning_rates=(2e-5, 5e-5, 1e-4, 2e-4, 5e-4), forget_coefficients=(0.2, 1.0, 5.0), mask_steps=50,
                mask_sizes=(1_000, 3_000, 10_000, 30_000, 100_000, 300_000),
                stop_at=0.98, retain_batch=16, text_batch=2, forget_batch=32, micro_batch=None, most_parts=4, n_asked=None, n_unknown=16,
                n_floor=16, n_attacked_sets=8, n_folds=2, n_nulls=2, n_planted=314, plant_steps=400, n_null_sets=2,
                localizations=PAPER, formats=tuple(FORMATS), compared=("probe", "paths"), seekers=SEEKERS),
        # The paper, value by value (tests/runs/test_paper.py says where each is from): one set of 16 (FORGET_SET_SIZE=64: of 64; of whole
        # sports FORGET_SETS=3: all three), one run. A step is 16 micro-batches of 4 prompts, and as many texts of the Pile, each new.
        Profile("paper", n_sets=1, n_seeds=1, steps=50, fixed_steps=50, n_localize=64, n_test=64, n_validate=16, n_circuits=64,
                n_train_texts=50 * 64, text_length=100, texts="monology/pile-uncopyrighted", n_damage_texts=8, rotations=1,
                learning_rates=(2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4), forget_coefficients=(0.1, 0.2, 0.5, 1.0, 2.0, 5.0), mask_steps=50,
                mask_sizes=(500_000, 1_000_000, 1_200_000, 2_000_000, 2_400_000, *range(3_000_000, 7_000_000, 1_000_000)),
                stop_at=1.0, retain_batch=64, text_batch=64, forget_batch=64, micro_batch=4, most_parts=4, n_asked=None, n_unknown=32,
                n_floor=0, n_attacked_sets=1, n_folds=1, n_nulls=2, n_planted=314, plant_steps=400, n_null_sets=1,
                localizations=PAPER, formats=None, compared=("probe", "paths"), seekers=SEEKERS),
    )
}  # fmt: skip
