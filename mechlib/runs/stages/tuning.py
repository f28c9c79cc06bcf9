"""Hyperparameters: tries on facts that no result is about, and the best of them by the paper's criterion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mechlib.components import Localization
from mechlib.edit.train import EditConfig
from mechlib.evals.answers import answer_prompts
from mechlib.evals.damage import damage
from mechlib.facts import Fact, PromptFormat, prompts
from mechlib.runs.knowledge import SplitSettings
from mechlib.runs.spec import Stage
from mechlib.runs.stages.settings import Subject
from mechlib.runs.stages.training import trained
from mechlib.runs.work import Result, Work


@dataclass(frozen=True)
class TrialSettings:
    """``training`` holds the learning rate and the forget coefficient that are tried; ``count``: texts to measure damage on."""

    subject: Subject
    splits: SplitSettings
    format: PromptFormat
    training: EditConfig
    count: int
    whole: bool | None = None


@dataclass(frozen=True)
class TuneSettings:
    """The choice among trials has no settings of its own."""


def trial(work: Work[TrialSettings]) -> Result:
    """Rows are answers about the validation facts (``forget``) and about those used to localize (``maintain``)."""
    settings, form = work.settings, work.settings.format
    splits = work.splits(settings.splits)
    localization = Localization.from_json(work.inputs["localize"].value)
    forget, maintain = _divided(splits.validate.facts, splits.localize.facts, settings.splits)
    _, retain = _divided(splits.validate.facts, splits.maintain_train.facts, settings.splits)
    texts, others = ([row["tokens"] for row in work.inputs[role].rows] for role in ("texts", "other texts"))
    delta, _ = trained(work, work.model, localization, prompts(forget, form), prompts(retain, form), texts, settings.training)
    model = delta.edited(work.model)
    groups = {"forget": forget, "maintain": maintain}
    whole = bool(settings.whole)
    rows = [row for group, facts in groups.items() for row in answer_prompts(model, prompts(facts, form), group, whole=whole)]
    harm = damage(work.model, delta, {"samples": others[: settings.count]})
    change = sum(row.loss_after - row.loss_before for row in harm) / len(harm)
    tried = {"learning_rate": settings.training.learning_rate, "forget_coefficient": settings.training.forget_coefficient}
    return Result([asdict(row) for row in rows], {"norm": delta.norm, "text": change, **tried})


def _divided(forget: Sequence[Fact], others: Sequence[Fact], settings: SplitSettings) -> tuple[list[Fact], list[Fact]]:
    """Where whole answers are forgotten, only one answer of the validation facts is, and nothing with it is kept."""
    if settings.forget != "answers":
        return list(forget), list(others)
    gone = min(fact.answer for fact in forget)
    return [fact for fact in forget if fact.answer == gone], [fact for fact in others if fact.answer != gone]


def tune(work: Work[TuneSettings]) -> Result:
    """Rows are all trials; the value is the chosen learning rate and forget coefficient. No measure of robustness is looked at."""
    rows = [outcome(tried) for tried in work.inputs.values()]
    best = max(rows, key=lambda row: row["score"])
    return Result(rows, {"learning_rate": best["learning_rate"], "forget_coefficient": best["forget_coefficient"]})


def outcome(tried: Result) -> dict[str, Any]:
    """Edit, forget and maintain accuracy of a trial, and the sum that the paper maximizes over its sweeps.

    (1 - forget) + maintain + edit, less the change of the text loss in nats; the paper adds the
    accuracy on the Pile in its place. An unlearned fact has no edit accuracy.
    """
    forget = [row for row in tried.rows if row["group"] == "forget"]
    maintain = [row for row in tried.rows if row["group"] == "maintain"]

    def share(rows: Sequence[Mapping[str, Any]], what: str) -> float:
        return sum(row[what] for row in rows) / len(rows)

    aimed = any(row["target"] is not None for row in forget)
    found = {"forget": share(forget, "correct"), "edit": share(forget, "edited") if aimed else 0.0, "maintain": share(maintain, "correct")}
    score = 1 - found["forget"] + found["maintain"] + found["edit"] - tried.value["text"]
    return {**tried.value, **found, "score": score}


def _seconds(settings: TrialSettings) -> float:
    return 10.0 * settings.training.steps / 12


TRIAL = Stage("trial", 2, trial, _seconds)
TUNE = Stage("tune", 1, tune, 0.1)
