"""Edits that do not fit into a machine's memory all at once go through their prompts in as large micro-batches as fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mechlib.runs.board import Wanted
from mechlib.runs.memory import Memory, memory
from mechlib.runs.plan import Machine
from mechlib.runs.spec import RunSpec
from mechlib.runs.stages import EDIT, TRIAL
from mechlib.runs.store import Store
from mechlib.runs.study import Study


def prompts_at_once(needs: Memory, free: int) -> int | None:
    """How many prompts of a step ``free`` bytes have room for at once; ``None``: for the whole step, texts included.

    At least 1, whether or not that fits: a plan says what else would help.
    """
    if needs.total <= free:
        return None
    # More prompts never need less.
    least, most = 1, needs.batch.count
    while least < most:
        middle = (least + most + 1) // 2
        fits = replace(needs, training=replace(needs.training, micro_batch=middle)).total <= free
        least, most = (middle, most) if fits else (least, middle - 1)
    return least


def fitted(wanted: Wanted, store: Store, on: Machine) -> Wanted:
    """The same runs, by their ids too, with micro-batches in those studies whose edits need them and that ask for none."""
    return [(study, _divided(specs, _least(study, store, on)) if study.micro_batch is None else specs) for study, specs in wanted]


def _least(study: Study, store: Store, on: Machine) -> int | None:
    """What fits for the largest of a study's edits."""
    if on.share is None:
        return None
    needed = [memory(study, study.edit(key, 0, 0), store, on.accelerator) for key in study.localizations or ()]
    largest = max(needed, key=lambda each: each.total, default=None)
    return prompts_at_once(largest, on.share) if largest else None


def _divided(specs: Sequence[RunSpec], size: int | None) -> list[RunSpec]:
    done: dict[int, RunSpec] = {}

    def divide(spec: RunSpec) -> RunSpec:
        if id(spec) not in done:
            inputs = {role: divide(needed) for role, needed in spec.inputs.items()}
            edits = spec.stage in (EDIT, TRIAL)
            settings = replace(spec.settings, training=replace(spec.settings.training, micro_batch=size)) if edits else spec.settings
            same = not edits and all(inputs[role] is needed for role, needed in spec.inputs.items())
            done[id(spec)] = spec if same else replace(spec, settings=settings, inputs=inputs)
        return done[id(spec)]

    return list(specs) if size is None else [divide(spec) for spec in specs]
