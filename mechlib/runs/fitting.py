"""Edits that do not fit into a machine's memory all at once.

They go through their prompts in as large micro-batches as fit; where a card has no room for one prompt, all cards share the weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        fits = _with(needs, micro_batch=middle).total <= free
        least, most = (middle, most) if fits else (least, middle - 1)
    return least


def cards_for(needs: Memory, free: int, cards: int) -> int:
    """How many of a machine's cards an edit needs, each with ``free`` bytes: one if that has room for a prompt at a time, else all."""
    return 1 if _with(needs, micro_batch=1).total <= free else cards


def fitted(wanted: Wanted, store: Store, on: Machine) -> Wanted:
    """The same runs, by their ids too, with cards and micro-batches as those studies need them that ask for no micro-batch."""
    return [(study, _divided(specs, _ways(study, store, on))) for study, specs in wanted]


def _ways(study: Study, store: Store, on: Machine) -> dict[str, int]:
    """The settings that the largest of a study's edits needs, if any."""
    if on.share is None or (study.micro_batch is not None and on.cards == 1):
        return {}
    needed = [memory(study, study.edit(key, 0, 0), store, on.accelerator) for key in study.localizations or ()]
    largest = max(needed, key=lambda each: each.total, default=None)
    if largest is None:
        return {}
    cards = cards_for(largest, on.share, on.cards)
    size = prompts_at_once(_with(largest, cards=cards), on.share) if study.micro_batch is None else None
    return ({"cards": cards} if cards > 1 else {}) | ({} if size is None else {"micro_batch": size})


def _with(needs: Memory, **settings: int) -> Memory:
    return replace(needs, training=replace(needs.training, **settings))


def _divided(specs: Sequence[RunSpec], ways: Mapping[str, int]) -> list[RunSpec]:
    done: dict[int, RunSpec] = {}

    def divide(spec: RunSpec) -> RunSpec:
        if id(spec) not in done:
            inputs = {role: divide(needed) for role, needed in spec.inputs.items()}
            edits = spec.stage in (EDIT, TRIAL)
            settings = replace(spec.settings, training=replace(spec.settings.training, **ways)) if edits else spec.settings
            same = not edits and all(inputs[role] is needed for role, needed in spec.inputs.items())
            done[id(spec)] = spec if same else replace(spec, settings=settings, inputs=inputs)
        return done[id(spec)]

    return [divide(spec) for spec in specs] if ways else list(specs)
