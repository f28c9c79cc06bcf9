"""What localizations are chosen from: probes, path patching, and every method that scores components; and how good their circuits are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from mechlib.components import heads_and_mlps
from mechlib.facts import Fact, Prompt, PromptFormat, prompts
from mechlib.localize.path_lookup import extraction_heads, receiver_layer
from mechlib.models.language_model import LanguageModel
from mechlib.models.precision import Precision, fast_precision
from mechlib.patching.activation import activation_patching
from mechlib.patching.attribution import attribution_patching
from mechlib.patching.faithfulness import faithfulness, rankings
from mechlib.patching.path import direct_effects, effects_on_stream
from mechlib.patching.probe_variants import probe_variants
from mechlib.patching.probing import answer_streams, probe
from mechlib.patching.scores import Scores
from mechlib.patching.weights import gradient_times_weight
from mechlib.runs.knowledge import SplitSettings
from mechlib.runs.spec import Stage
from mechlib.runs.stages.settings import Subject
from mechlib.runs.work import Result, Work


@dataclass(frozen=True)
class EvidenceSettings:
    """``share``: (number, of), one of several equal shares of the facts to localize; ``None``: all of them."""

    subject: Subject
    splits: SplitSettings
    format: PromptFormat
    method: str
    seed: int
    share: tuple[int, int] | None = None
    precision: Precision | None = None


@dataclass(frozen=True)
class Method:
    """One kind of evidence. ``version``: raised when the same settings give other scores."""

    version: int
    seconds: float
    measure: Callable[[Work[EvidenceSettings]], Result]


@dataclass(frozen=True)
class Scored(Method):
    """A method that scores components: ``score(model, prompts, seed=..., precision=...)``."""

    score: Callable[..., Scores]


def localizing(work: Work[EvidenceSettings]) -> list[Prompt]:
    """Prompts about the facts that evidence is taken from, which are neither edited nor tested.

    Sorted by relation: prompts of one relation share their demonstration, and side by side it is computed once.
    """
    number, of = work.settings.share or (0, 1)
    facts: list[Fact] = sorted(work.splits(work.settings.splits).localize.facts[number::of], key=lambda fact: fact.relation)
    return prompts(facts, work.settings.format)


def _scored(work: Work[EvidenceSettings], *, score: Callable[..., Scores]) -> Result:
    settings = work.settings
    precision = settings.precision or fast_precision()
    scores = score(work.model, localizing(work), seed=settings.seed, precision=precision, progress=work.context.progress)
    return Result(value=scores.to_json())


def _probing(work: Work[EvidenceSettings]) -> list[Prompt]:
    """Prompts about the facts that probes are fitted on: those that evidence is taken from, then those to maintain."""
    splits = work.splits(work.settings.splits)
    return prompts([*splits.localize, *splits.maintain_train], work.settings.format)


def _probed(work: Work[EvidenceSettings]) -> Result:
    """Rows are probes over layers."""
    return Result([asdict(row) for row in probe(work.model, _probing(work), work.settings.seed)])


def _varied(work: Work[EvidenceSettings]) -> Result:
    """Rows are probes of several kinds over layers, on all facts and on those alone that other methods see."""
    asked, traced = _probing(work), len(work.splits(work.settings.splits).localize)
    streams = answer_streams(work.model, asked)["subject"]
    return Result([asdict(row) for row in probe_variants(streams, [one.fact.answer for one in asked], traced, work.settings.seed)])


def _paths(work: Work[EvidenceSettings]) -> Result:
    settings = work.settings
    how = {"seed": settings.seed, "precision": settings.precision or fast_precision(), "progress": work.context.progress}
    return Result(value=path_evidence(work.model, localizing(work), **how))


def path_evidence(model: LanguageModel, asked: Sequence[Prompt], **how: Any) -> dict[str, Any]:
    """What path patching measures: the scores ``direct`` and ``stream``, the extraction ``heads`` and the layer that receives.

    ``direct``: heads and MLPs on the answer; ``stream``: MLPs on the stream that the lowest extraction head reads.
    """
    direct = direct_effects(model, asked, **how)
    heads = extraction_heads(direct)
    stream = effects_on_stream(model, asked, receiver_layer(heads), **how)
    value = {"direct": direct.to_json(), "stream": stream.to_json(), "heads": [str(head) for head in heads]}
    return {**value, "receiver": receiver_layer(heads)}


def _method(score: Callable[..., Scores], **settings: Any) -> Scored:
    scoring = partial(score, **settings)
    return Scored(2, 7.0, partial(_scored, score=scoring), scoring)


# The paper's choices (section 3 and the released code): causal tracing restores clean outputs in a
# run with a noised subject; attribution patching puts outputs of another subject into the clean run, and
# the released code what components read as well, where we estimate what exact patching measures.
# Exact patching in both directions is what the estimates are measured against.
SCORED: Mapping[str, Scored] = {
    "causal_tracing": _method(activation_patching, corruption="noise", direction="denoise"),
    "attribution_patching": _method(attribution_patching, corruption="tokens", direction="noise"),
    "activation_patching": _method(activation_patching, corruption="tokens", direction="denoise"),
    "activation_patching_noising": _method(activation_patching, corruption="tokens", direction="noise"),
    "attribution_patching_inputs": _method(attribution_patching, corruption="tokens", direction="noise", inputs=True),
    "attribution_patching_denoising": _method(attribution_patching, corruption="tokens", direction="denoise"),
    "integrated_gradients": _method(attribution_patching, corruption="tokens", direction="noise", integration_steps=5),
    "relevance_patching": _method(attribution_patching, corruption="tokens", direction="noise", slope="relevance"),
    "gradient_times_weight": _method(gradient_times_weight),
    "causal_tracing_redrawn": _method(activation_patching, corruption="noise", direction="denoise", redraw=True),
    "causal_tracing_positions": _method(activation_patching, corruption="noise", direction="denoise", by_position=True),
}
METHODS: Mapping[str, Method] = {
    "probe": Method(1, 14.0, _probed), "probe_variants": Method(2, 20.0, _varied), "paths": Method(2, 11.0, _paths), **SCORED,
}  # fmt: skip
# They multiply nothing: their precision cannot be asked for.
PROBES = ("probe", "probe_variants")


def evidence(work: Work[EvidenceSettings]) -> Result:
    """The evidence of one method."""
    return METHODS[work.settings.method].measure(work)


def _version(settings: EvidenceSettings) -> Mapping[str, int]:
    return {settings.method: METHODS[settings.method].version}


# Facts that are traced in the quick profile, which a method's seconds are of.
_QUICKLY_TRACED = 8


def _seconds(settings: EvidenceSettings) -> float:
    # Probes read the facts to maintain, too, and fit as many whatever their number.
    scale = 1.0 if settings.method in PROBES else settings.splits.n_localize / _QUICKLY_TRACED
    return METHODS[settings.method].seconds * scale


@dataclass(frozen=True)
class CircuitSettings:
    """Circuits are tried on ``count`` facts that no method has seen."""

    subject: Subject
    splits: SplitSettings
    format: PromptFormat
    count: int
    seed: int
    precision: Precision | None = None


def circuits(work: Work[CircuitSettings]) -> Result:
    """Rows are circuits that each method's ranking proposes, with their faithfulness."""
    settings = work.settings
    scores = {name: Scores.from_json(result.value) for name, result in work.inputs.items() if name in SCORED}
    facts = sorted(work.splits(settings.splits).maintain_test.facts[: settings.count], key=lambda fact: fact.relation)
    rows = faithfulness(
        work.model, prompts(facts, settings.format), rankings(scores, heads_and_mlps(work.model.architecture)), seed=settings.seed,
        precision=settings.precision or fast_precision(), progress=work.context.progress,
    )  # fmt: skip
    return Result([asdict(row) for row in rows])


EVIDENCE = Stage("evidence", 1, evidence, _seconds, _version)
CIRCUITS = Stage("circuits", 2, circuits, 16.0)
