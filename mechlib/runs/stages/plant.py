"""Planting: invented facts are trained into chosen components, so that where a model knows them from is no question."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace

from mechlib.components import Component
from mechlib.edit.delta import FILE, Delta
from mechlib.edit.train import EditConfig
from mechlib.evals.answers import answer_prompts
from mechlib.facts import Prompt, PromptFormat, athletes, prompts
from mechlib.facts.fact import stratified_order
from mechlib.facts.invented import taught
from mechlib.localize.localizer import Measured
from mechlib.localize.registry import localize
from mechlib.models.language_model import LanguageModel
from mechlib.models.precision import Precision
from mechlib.runs.spec import Stage
from mechlib.runs.stages.settings import Subject
from mechlib.runs.stages.training import trained
from mechlib.runs.work import Result, Work

# The wordings in which facts are taught; the formats that edits are trained and asked in are made of these, but are others.
LESSONS = ("statement", "question", "cloze")
RATE, LESSONS_A_STEP, TAUGHT = 3e-4, 48, 0.98
# Real athletes who are asked for, at most.
SAMPLE = 128


@dataclass(frozen=True)
class PlantSettings:
    """``subject``: the model before, and the invented facts, of which the first ``count`` are taught in each of ``formats``.

    ``site``: key of a localization that needs no evidence. ``real``: hash of the shipped athletes; those of whom the model knows the
    sport, by more than ``threshold`` in a sample, are held on to.
    """

    subject: Subject
    site: str
    count: int
    formats: tuple[PromptFormat, ...]
    real: str
    threshold: float
    training: EditConfig


def planted(work: Work[PlantSettings]) -> Result:
    """Rows are the learning curve; the delta lies beside them. The site is trained and nothing else is."""
    settings, model = work.settings, work.model
    site = localize(settings.site, Measured(), model.architecture, 0, budget=0, model=model.name)
    lessons = [lesson for form in settings.formats for lesson in prompts(taught(work.context.facts, settings.count), form)]
    sample = prompts(stratified_order(athletes(), random.Random(settings.training.seed))[:SAMPLE], settings.formats[0])
    known = [one for one, said in zip(sample, answer_prompts(model, sample), strict=True) if said.probability > settings.threshold]
    texts = [row["tokens"] for row in work.inputs["texts"].rows]
    delta, history = trained(work, model, site, [_told(one) for one in lessons], known, texts, settings.training)
    delta.save(work.folder / FILE)
    return Result([asdict(step) for step in history], {"norm": delta.norm, "parameters": delta.size, "localization": site.to_json()})


@dataclass(frozen=True)
class UndoneSettings:
    """The first ``count`` of the ``subject``'s invented facts, which were taught, are asked in ``format``.

    ``places``: keys of localizations that need no evidence, where planting is undone besides in each layer.
    """

    subject: Subject
    count: int
    format: PromptFormat
    places: tuple[str, ...]


def undone(work: Work[UndoneSettings]) -> Result:
    """Rows are taught facts, asked without what was planted in a part of the MLPs, and for places also with that alone (``how``: ``only``).

    Parts are each layer, each of the places, ``everything`` and ``nothing``; the value has the layers of each and the norm of the change
    there. A part in which nothing was planted is left out.
    """
    settings, planted = work.settings, work.inputs["planted"].delta
    model, arch = work.context.model, work.context.model.architecture
    asked = prompts(taught(work.context.facts, settings.count), settings.format)
    parts = {f"layer {number}": [Component(number, "mlp")] for number in range(arch.n_layers)}
    parts |= {place: [*localize(place, Measured(), arch, 0, budget=0).components] for place in settings.places}
    parts |= {"everything": [Component(number, "mlp") for number in range(arch.n_layers)], "nothing": []}
    rows, value = list[dict[str, object]](), dict[str, dict[str, object]]()
    for done, (name, components) in enumerate(parts.items(), start=1):
        names = {block.parameter for part in components for block in part.weights(arch)}
        inside, outside = _part(planted, names, inside=True), _part(planted, names, inside=False)
        if inside is not None or name == "nothing":
            value[name] = {"layers": [part.layer for part in components], "norm": inside.norm if inside else 0.0}
            for how, kept in (("without", outside), ("only", inside)):
                if name in settings.places or how == "without":
                    rows += [{"part": name, "how": how, **asdict(row)} for row in answer_prompts(_with(model, kept), asked, whole=False)]
        work.progress(done, len(parts))
    return Result(rows, value)


def _part(delta: Delta, names: Collection[str], *, inside: bool) -> Delta | None:
    """The part of a change that is in matrices of these names, or in the others; ``None`` if that is no change."""
    blocks = {block: change for block, change in delta.blocks.items() if (block.parameter in names) == inside}
    return Delta(blocks, delta.provenance) if any(change.any() for change in blocks.values()) else None


def _with(model: LanguageModel, change: Delta | None) -> LanguageModel:
    """The model with a change, or as it is."""
    return model if change is None else change.edited(model)


def planting(steps: int, seed: int, precision: Precision | None) -> EditConfig:
    """How facts are planted: at a constant rate until a step's lessons have the probability ``TAUGHT``, as edits are trained.

    Sites learn at a pace of their own: no number of steps treats them alike.
    """
    return EditConfig(RATE, steps=steps, text_batch=1, forget_batch=LESSONS_A_STEP, precision=precision, seed=seed, stop_at=TAUGHT,
                      schedule="constant")  # fmt: skip


def _told(lesson: Prompt) -> Prompt:
    """The prompt as an edit to the fact's own answer."""
    return replace(lesson, target=lesson.answer)


def _seconds(settings: PlantSettings) -> float:
    return 1.4 * settings.training.steps  # most stop before


def _seconds_undone(settings: UndoneSettings) -> float:
    return 1.6 * settings.count


PLANT = Stage("plant", 1, planted, _seconds, files=True)
UNDONE = Stage("undone", 1, undone, _seconds_undone)
