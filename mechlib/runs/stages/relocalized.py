"""Localizing again: where methods find a forget set's facts in the unedited model, and in an edited one the answers that it was given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from mechlib.components import ComponentError, Localization
from mechlib.facts import Fact, prompts
from mechlib.localize.localizer import Measured
from mechlib.localize.output_tracing import by_module
from mechlib.localize.path_lookup import Rule
from mechlib.localize.registry import localize
from mechlib.models.precision import Precision, fast_precision
from mechlib.patching.scores import Scores
from mechlib.runs.spec import Stage
from mechlib.runs.stages.evidence import SCORED, path_evidence
from mechlib.runs.stages.settings import ForgetSet
from mechlib.runs.work import Result, Work

# The paper's output tracing, and fact lookup by path patching.
TRACED, LOOKUP = ("causal_tracing", "attribution_patching"), "paths"


@dataclass(frozen=True)
class RelocalizedSettings:
    """One forget set of an edited or unedited model. ``lookup``: fact lookup follows paths, and does so again; probes cannot, as they read
    what many facts share and not what a few were edited to.
    """

    about: ForgetSet
    lookup: bool
    rule: Rule
    seed: int
    precision: Precision | None = None


def relocalized(work: Work[RelocalizedSettings]) -> Result:
    """Rows: the score of every attention layer and MLP by each method. The value has the localization that each method then names.

    Localizations have the parameter count of fact lookup's own. Without a fact lookup of path patching, the value lacks it.
    """
    settings, number = work.settings, work.settings.about.forget_set
    facts = sorted(work.splits(settings.about.splits).forget[number].facts, key=lambda fact: fact.relation)
    asked = prompts([_as_edited(fact) for fact in facts] if "edit" in work.inputs else facts, settings.about.format)
    how: dict[str, Any] = {"seed": settings.seed, "precision": settings.precision or fast_precision()}
    model, scores = work.edited, dict[str, Scores]()
    for done, name in enumerate(TRACED, start=1):
        scores[name] = SCORED[name].score(model, asked, **how)
        work.progress(done, 3)
    if settings.lookup:
        scores[LOOKUP] = Scores.from_json(path_evidence(model, asked, **how)["stream"])
    before = Localization.from_json(work.inputs["lookup"].value)
    found: dict[str, Any] = {}
    for key in ("fact_lookup", *(f"{name}{mlps}" for name in TRACED for mlps in ("", "_mlps"))):
        try:
            one = localize(key, Measured((), scores, settings.rule), model.architecture, 0, budget=before.provenance["budget"])
        except ComponentError:  # path patching names no MLP, or was not asked
            continue
        found[key] = one.to_json()
    rows = [{"evidence": name, "layer": module.layer, "kind": module.kind, "score": score}
            for name, one in scores.items() for module, score in by_module(one).items()]  # fmt: skip
    return Result(rows, {"found": found})


def _as_edited(fact: Fact) -> Fact:
    """The fact with its edit target for an answer, which is compared with the true one."""
    return replace(fact, answer=fact.target, target=fact.answer) if fact.target else fact


# Facts of a usual forget set, which the seconds are of.
_USUAL, _TRACED_SECONDS, _LOOKUP_SECONDS = 16, 26.0, 20.0


def _seconds(settings: RelocalizedSettings) -> float:
    size = settings.about.splits.set_size or _USUAL
    return (_TRACED_SECONDS + _LOOKUP_SECONDS * settings.lookup) * size / _USUAL


RELOCALIZED = Stage("relocalized", 1, relocalized, _seconds)
