"""Edits: a forget set, or one part of it after the parts before, edited with one localization; and masks over its weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from mechlib.components import Localization
from mechlib.edit.delta import FILE, merge
from mechlib.edit.train import EditConfig
from mechlib.edit.weight_masking import FILE as MASK
from mechlib.edit.weight_masking import MaskConfig, train_mask
from mechlib.facts import prompts
from mechlib.runs.knowledge import Floor, floor_facts
from mechlib.runs.spec import Stage
from mechlib.runs.stages.settings import ForgetSet
from mechlib.runs.stages.training import trained
from mechlib.runs.work import Result, Work


@dataclass(frozen=True)
class EditSettings:
    """``part``: (number, of), the part of a forget set that is edited. ``floor``: never-known facts that are edited with it.

    ``beside``: an edit holds on to the facts of other forget sets and of localizations, too, and not only to those set apart for it.
    """

    about: ForgetSet
    part: tuple[int, int]
    training: EditConfig
    floor: Floor | None = None
    beside: bool | None = None


@dataclass(frozen=True)
class MaskSettings:
    """A mask that is trained to forget one forget set."""

    about: ForgetSet
    training: MaskConfig


@dataclass(frozen=True)
class RescaledSettings:
    """``key``: what an edit is called that has the norm of another's change."""

    key: str


def edited(work: Work[EditSettings]) -> Result:
    """Rows are the learning curve; the delta lies beside them. It holds the parts before, too."""
    about, (number, of) = work.settings.about, work.settings.part
    splits = work.splits(about.splits)
    facts = splits.forget[about.forget_set].facts
    size = -(-len(facts) // of)
    chosen = work.inputs["tune"].value if "tune" in work.inputs else {}
    before = work.inputs["before"].delta if "before" in work.inputs else None
    localization = Localization.from_json(work.inputs["localize"].value)
    floor = work.settings.floor
    exclude = splits.forget[about.forget_set].subjects
    never = floor_facts(work.context.facts, work.inputs["known"].rows, floor, exclude) if floor else ()
    held = splits.beside(about.forget_set) if work.settings.beside else splits.retained(splits.maintain_train, about.forget_set)
    delta, history = trained(
        work,
        before.edited(work.model) if before else work.model,
        localization,
        prompts([*facts[number * size : (number + 1) * size], *never], about.format),
        prompts(held, about.format),
        [row["tokens"] for row in work.inputs["texts"].rows],
        EditConfig(**{**asdict(work.settings.training), **chosen}),
    )
    whole = merge(before, delta) if before else delta
    whole.save(work.folder / FILE)
    value = {"norm": whole.norm, "parameters": whole.size, "localization": localization.to_json(), **chosen}
    return Result([asdict(step) for step in history], value)


def rescaled(work: Work[RescaledSettings]) -> Result:
    """Rows are the learning curve of the edit that is rescaled, to the norm of the change ``beside`` it."""
    own, beside = work.inputs["edit"], work.inputs["beside"]
    delta = own.delta.at_norm(beside.delta.norm)
    delta.save(work.folder / FILE)
    localization = {**own.value["localization"], "name": work.settings.key}
    return Result(own.rows, {**own.value, "norm": delta.norm, "factor": delta.norm / own.value["norm"], "localization": localization})


def masked(work: Work[MaskSettings]) -> Result:
    """Rows are the learning curve; the mask lies beside them."""
    about = work.settings.about
    splits = work.splits(about.splits)
    mask, history = train_mask(
        work.model,
        Localization.from_json(work.inputs["localize"].value),
        prompts(splits.forget[about.forget_set].facts, about.format),
        prompts(splits.retained(splits.maintain_train, about.forget_set), about.format),
        [row["tokens"] for row in work.inputs["texts"].rows],
        work.settings.training,
        work.context.progress,
    )
    mask.save(work.folder / MASK)
    return Result([asdict(step) for step in history], {"masked": mask.masked, "weights": len(mask.values)})


# Steps of a mask in the quick profile, which its expected seconds are of; and after so many steps most edits are where they stop.
_QUICK_MASK_STEPS, _MOST_STOP = 6, 25


def _seconds(settings: EditSettings) -> float:
    training = settings.training
    steps = training.steps if training.stop_at is None else min(training.steps, _MOST_STOP)
    forget = training.forget_batch or (settings.about.splits.set_size or 0) + (settings.floor.count if settings.floor else 0)
    return 0.05 * steps * (forget + training.retain_batch)


def _seconds_of_mask(settings: MaskSettings) -> float:
    return 13.0 * settings.training.steps / _QUICK_MASK_STEPS


EDIT = Stage("edit", 2, edited, _seconds, files=True)
RESCALED = Stage("rescaled", 1, rescaled, 0.5, files=True)
MASKED = Stage("mask", 2, masked, _seconds_of_mask, files=True)
