"""What all patching methods share: pairs of runs in batches, effects per text, scores as shares of the corruption's effect."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mechlib import checks
from mechlib.components import Component
from mechlib.facts import FactError, Prompt
from mechlib.models import ModelError
from mechlib.models.forward import Entry
from mechlib.models.hooks import Place, hooks
from mechlib.models.language_model import LanguageModel
from mechlib.models.precision import Precision, computing, in_precision
from mechlib.patching.pairs import POSITIONS, Corruption, Pair, check_prompts, make_pair
from mechlib.patching.scores import Scores

Direction = Literal["denoise", "noise"]
OnProgress = Callable[[int, int], None]


def silent(_done: int, _of: int) -> None:
    """Ignore progress."""


@dataclass(frozen=True)
class SweepConfig:
    """How pairs of runs are made and compared.

    ``denoise`` brings outputs of the clean run into the corrupted one (what suffices), ``noise``
    those of the corrupted run into the clean one (what is necessary). Each prompt's corruption is drawn
    from ``seed`` and what the prompt says: neither ``batch_size`` nor the other prompts nor their order
    change its effects, but to rounding. ``progress(done, of)`` counts prompts. Raises :class:`mechlib.checks.ParameterError` for
    a value that is none of these.
    """

    corruption: Corruption = "tokens"
    direction: Direction = "denoise"
    seed: int = 0
    precision: Precision = "float32"
    batch_size: int = 32
    progress: OnProgress = silent

    def __post_init__(self) -> None:
        for name, kind in (("corruption", Corruption), ("direction", Direction), ("precision", Precision)):
            checks.choice(name, getattr(self, name), get_args(kind))
        checks.whole("batch_size", self.batch_size, least=1)


@dataclass(frozen=True)
class Effects:
    """Of one batch: each component's effect on the base run, and the logit differences of both runs.

    ``positions`` are the effects by class of position, where the method tells them apart.
    """

    components: Sequence[Component]
    values: Float[Tensor, "component text"]
    base: Float[Tensor, " text"]
    source: Float[Tensor, " text"]
    positions: Float[Tensor, "component text position"] | None = None


Method = Callable[[LanguageModel, Pair, Entry, Entry], Effects]


def sweep(name: str, method: Method, model: LanguageModel, prompts: Sequence[Prompt], config: SweepConfig) -> Scores:
    """Score components with ``method(model, pair, base, source)``, batch by batch: memory does not grow with the prompts.

    Scores are divided by the difference that the whole corruption makes, so larger means more
    important in both directions. Raises :class:`mechlib.facts.FactError` if there are no prompts, one has no other
    answer to compare with, or the corruption changes nothing, and :class:`mechlib.models.ModelError` if
    logits are not finite.
    """
    check_prompts(prompts)
    working = in_precision(model, config.precision)
    found, noise = list[Effects](), None
    for start in range(0, len(prompts), config.batch_size):
        pair = make_pair(working, prompts[start : start + config.batch_size], config.corruption, config.seed)
        noise = pair.noise
        base, source = (pair.corrupted, pair.clean) if config.direction == "denoise" else (pair.clean, pair.corrupted)
        with computing(working, config.precision):
            found.append(method(working, pair, base, source))
        config.progress(min(start + config.batch_size, len(prompts)), len(prompts))
    scores = _scores(f"{name} ({config.direction})", found, config.direction, noise)
    if not math.isfinite(sum(scores.spans)) or not all(map(math.isfinite, scores.values.values())):
        raise ModelError(f"{model.name} has no finite logits in {config.precision}: ask for another PRECISION")
    return scores


def _scores(name: str, found: Sequence[Effects], direction: Direction, noise: float | None) -> Scores:
    """Effects of all batches as shares of the whole difference between the runs."""
    base, source = (torch.cat([getattr(batch, run) for batch in found]).double() for run in ("base", "source"))
    span = (source - base).sum()
    if span == 0:
        raise FactError(f"{name}: corrupting the subjects changes no answer, so there is nothing to share out; ask about other facts")
    effects, components = torch.cat([batch.values for batch in found], 1).double(), found[0].components
    positions = [batch.positions for batch in found if batch.positions is not None]
    shares = (torch.cat(positions, 1).double().sum(1) / span).tolist() if positions else []
    corrupted, clean = (base, source) if direction == "denoise" else (source, base)
    return Scores(
        method=name,
        values=dict(zip(components, (effects.sum(1) / span).tolist(), strict=True)),
        clean=clean.mean().item(),
        corrupted=corrupted.mean().item(),
        effects=dict(zip(components, map(_rounded, effects.tolist()), strict=True)),
        spans=_rounded((source - base).tolist()),
        positions={component: dict(zip(POSITIONS, _rounded(own), strict=True)) for component, own in zip(components, shares, strict=False)},
        noise=noise,
    )


def _rounded(values: Sequence[float]) -> tuple[float, ...]:
    # What is kept for each prompt is to be read, not computed back to the score: six decimals keep files small.
    return tuple(round(value, 6) for value in values)


def component_outputs(
    model: LanguageModel, pair: Pair, entry: Entry, attention: bool = False
) -> tuple[dict[Place, Tensor], Float[Tensor, " text"]]:
    """One run: outputs of all heads and MLPs (and whole attention layers), and each text's logit difference."""
    outputs: dict[Place, Tensor] = {}
    parts = ("heads", "mlp", "attn") if attention else ("heads", "mlp")
    places: list[Place] = [(layer, part) for layer in range(model.architecture.n_layers) for part in parts]
    return outputs, pair.logit_difference(model, entry, hooks(model, {place: keeping(place, outputs) for place in places}))


def keeping(place: Place, outputs: dict[Place, Tensor]) -> Callable[[Tensor], None]:
    """A function for :func:`hooks` that stores ``place``'s tensor in ``outputs``."""
    return lambda tensor: outputs.update({place: tensor})


def patching(source: Float[Tensor, "row node width"], where: Bool[Tensor, " copy #row #node #width"]) -> Callable[[Tensor], Tensor]:
    """A function for :func:`hooks` that puts ``source`` into copies of a run where the mask ``where`` is true."""
    # The copies stand one after the other (see Pair.repeated).
    return lambda tensor: torch.where(where, source, tensor.view(len(where), *source.shape)).view_as(tensor)
