"""What no attacker does: damage to other text, what rounding leaves of a change, what can be read inside, consequences, zeroed weights."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mechlib.attacks.quantization import crossings
from mechlib.components import Component, Localization
from mechlib.edit.general_text import prose
from mechlib.edit.weight_masking import FILE as MASK
from mechlib.edit.weight_masking import Mask, discretized
from mechlib.evals.answers import answer_prompts
from mechlib.evals.general_facts import general_facts
from mechlib.evals.damage import damage
from mechlib.evals.depth import Reference, depth, references
from mechlib.evals.head_projection import head_projection
from mechlib.evals.latent import latent
from mechlib.evals.mechanisms import touched
from mechlib.evals.reverse import consequence_prompts, followed, reverse, usable
from mechlib.facts import PromptFormat, athletes, prompts, world_facts
from mechlib.facts.fact import stratified_order
from mechlib.localize.path_lookup import extraction_heads, extraction_mlps
from mechlib.models.precision import Precision, multiplying
from mechlib.patching.scores import Scores
from mechlib.runs.spec import Stage
from mechlib.runs.stages.settings import ForgetSet
from mechlib.runs.work import Result, Work

# Facts to train probes on, at most; facts of other kinds that are asked.
TRAIN = 128
GENERAL = 48


@dataclass(frozen=True)
class DamageSettings:
    """``count`` texts of each source, of ``length`` tokens; ``prose``: hash of the text that no model wrote."""

    model: str
    count: int
    length: int
    prose: str
    precision: Precision | None = None


def damaged(work: Work[DamageSettings]) -> Result:
    """Rows are texts: fresh samples of the unedited model, and prose that no model wrote."""
    settings = work.settings
    samples = [row["tokens"] for row in work.inputs["texts"].rows][: settings.count]
    texts = {"samples": samples, "prose": prose(work.model, settings.count, settings.length)}
    model = multiplying(work.model, settings.precision)
    return Result([asdict(row) for row in damage(model, work.inputs["edit"].delta, texts)])


@dataclass(frozen=True)
class CrossingSettings:
    """The schemes of quantization under which a change is looked at."""

    schemes: tuple[str, ...]


def crossed(work: Work[CrossingSettings]) -> Result:
    """Rows are schemes: how many of the weights that an edit changed have another code when rounded, and what is left of the change."""
    return Result([asdict(row) for row in crossings(work.model, work.edited, work.settings.schemes)])


@dataclass(frozen=True)
class AuditSettings:
    """One forget set of an edited or unedited model. ``general``: hash of the facts of other kinds that are asked, where they are."""

    about: ForgetSet
    seed: int
    general: str | None = None
    precision: Precision | None = None


def read_inside(work: Work[AuditSettings]) -> Result:
    """Rows by ``audit``: ``probe`` (relations with a closed list of answers only), ``projection`` and ``depth``."""
    about, seed = work.settings.about, work.settings.seed
    splits = work.splits(about.splits)
    asked = prompts(splits.forget[about.forget_set].facts, about.format)
    others = [*splits.localize, *splits.retained(splits.maintain_train, about.forget_set)]
    original, model = (multiplying(one, work.settings.precision) for one in (work.model, work.edited))
    rows: list[dict[str, Any]] = []
    if not asked[0].open:
        rows += [{"audit": "probe", **asdict(row)} for row in latent(model, prompts(others[:TRAIN], about.format), asked, seed)]
    work.progress(1, 3)
    rows += [{"audit": "projection", **asdict(row)} for row in head_projection(model, asked)]
    work.progress(2, 3)
    known = _references(work.inputs["unedited"].rows) if "unedited" in work.inputs else references(original, asked, seed, draws=1)
    rows += [{"audit": "depth", **asdict(row)} for row in depth(model, original, asked, known)]
    return Result(rows)


def _references(rows: Sequence[Mapping[str, Any]]) -> list[Reference]:
    """Those of the unedited model, from the rows of its own run."""
    own = [row for row in rows if row["audit"] == "depth"]
    layers = 1 + max(row["layer"] for row in own)
    facts = [own[start : start + layers] for start in range(0, len(own), layers)]
    return [Reference(fact[0]["clean"], tuple(row["corrupted"] for row in fact)) for fact in facts]


def consequences(work: Work[AuditSettings]) -> Result:
    """Rows by ``ripple``: ``reverse`` and ``consequence`` (sports only), and ``general``, each with what the unedited model does."""
    about = work.settings.about
    forget = work.splits(about.splits).forget[about.forget_set].facts
    sports, model = forget[0].relation == "sport", multiplying(work.edited, work.settings.precision)
    general = stratified_order(world_facts() if sports else athletes(), random.Random(work.settings.seed))[:GENERAL]
    asked = consequence_prompts(forget, usable(work.model)[0]) if sports else []
    unedited = work.inputs["unedited"].rows if "unedited" in work.inputs else None
    rows: list[dict[str, Any]] = [{"ripple": "reverse", **asdict(row)} for row in (reverse(model, forget) if sports else [])]
    work.progress(1, 3)
    passes = None if unedited is None else _passes(unedited)
    rows += [{"ripple": "consequence", **asdict(row)} for row in followed(model, asked, passes)]
    work.progress(2, 3)
    after = general_facts(model, general, about.format, forget)
    before = [row.correct for row in after] if unedited is None else [row["correct"] for row in unedited if row["ripple"] == "general"]
    rows += [{"ripple": "general", **asdict(row), "before": known} for row, known in zip(after, before, strict=True)]
    return Result(rows)


def _passes(rows: Iterable[Mapping[str, Any]]) -> set[tuple[str, str]]:
    return {(row["subject"], row["kind"]) for row in rows if row["ripple"] == "consequence" and row["correct"]}


@dataclass(frozen=True)
class ZeroedSettings:
    """A mask is made discrete at each of ``sizes`` and the facts are asked in each of ``formats``."""

    about: ForgetSet
    sizes: tuple[int, ...]
    formats: tuple[PromptFormat, ...]
    whole: bool | None = None
    precision: Precision | None = None


def zeroed(work: Work[ZeroedSettings]) -> Result:
    """Rows are answers, with the size asked for. The value says which mechanisms the localization covers and each size zeroes."""
    settings, number = work.settings, work.settings.about.forget_set
    splits, masked = work.splits(settings.about.splits), work.inputs["mask"].folder
    if masked is None:
        return Result()
    groups = {"forget": splits.forget[number].facts, "maintain": splits.retained(splits.maintain_test, number)}
    mask, arch, mechanisms = Mask.load(masked / MASK), work.model.architecture, _mechanisms(work.inputs)
    rows: list[dict[str, Any]] = []
    touched_by: dict[str, list[dict[str, Any]]] = {}
    for done, size in enumerate(settings.sizes, start=1):
        edit = discretized(work.model, mask, size)
        touched_by[str(size)] = [asdict(row) for row in touched(edit, mechanisms, arch)]
        model = multiplying(edit.edited(work.model), settings.precision)
        for group, facts in groups.items():
            for form in settings.formats:
                answers = answer_prompts(model, prompts(facts, form), group, whole=bool(settings.whole))
                rows += [{"size": size, **asdict(row)} for row in answers]
        work.progress(done, len(settings.sizes))
    covered = touched(Localization.from_json(work.inputs["localize"].value), mechanisms, arch)
    return Result(rows, {"covered": [asdict(row) for row in covered], "zeroed": touched_by, "masked": mask.masked})


def _mechanisms(inputs: Mapping[str, Result]) -> dict[str, tuple[Component, ...]]:
    """Fact lookup, and where paths were followed the heads and MLPs that write the answer."""
    lookup = Localization.from_json(inputs["lookup"].value).components
    if "paths" not in inputs:
        return {"fact lookup": lookup}
    direct = Scores.from_json(inputs["paths"].value["direct"])
    return {"extraction heads": extraction_heads(direct), "extraction MLPs": extraction_mlps(direct, lookup), "fact lookup": lookup}


def _seconds_zeroed(settings: ZeroedSettings) -> float:
    return 5.0 * len(settings.sizes)


def _seconds_damage(settings: DamageSettings) -> float:
    return float(settings.count)


CROSSING = Stage("crossing", 1, crossed, 12.0)
DAMAGE = Stage("damage", 1, damaged, _seconds_damage)
LATENT = Stage("latent", 4, read_inside, 12.0)
CONSEQUENCES = Stage("consequences", 1, consequences, 5.5)
ZEROED = Stage("zeroed", 1, zeroed, _seconds_zeroed)
