"""From evidence to components, at fact lookup's parameter count; or the components that a file gives."""

from __future__ import annotations

from dataclasses import dataclass

from mechlib.components import Component
from mechlib.localize.path_lookup import Rule
from mechlib.localize.localizer import Measured
from mechlib.localize.registry import localize
from mechlib.patching.probing import ProbeRow
from mechlib.patching.scores import Scores
from mechlib.runs.spec import Stage
from mechlib.runs.work import Result, Work

FILE = "localization.json"


@dataclass(frozen=True)
class LocalizeSettings:
    """``seed`` draws random localizations; ``components`` are those of a file."""

    model: str
    method: str
    rule: Rule
    seed: int
    components: tuple[str, ...] | None = None


def localized(work: Work[LocalizeSettings]) -> Result:
    """One localization; ``localization.json`` beside it can be shared and given to another study."""
    settings, inputs = work.settings, work.inputs
    scores = {name: Scores.from_json(result.value) for name, result in inputs.items() if name not in ("probe", "paths")}
    if "paths" in inputs:
        scores["paths"] = Scores.from_json(inputs["paths"].value["stream"])
    probe = [ProbeRow(**row) for row in inputs["probe"].rows] if "probe" in inputs else []
    measured = Measured(probe, scores, settings.rule, [Component.parse(name) for name in settings.components or ()])
    found = localize(settings.method, measured, work.model.architecture, settings.seed, model=work.model.name)
    found.save(work.folder / FILE)
    return Result(value=found.to_json())


LOCALIZE = Stage("localize", 1, localized, 0.1)
