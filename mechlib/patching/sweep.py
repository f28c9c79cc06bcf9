"""What all patching methods share: pairs of runs in batches, effects per text, scores as shares of the corruption's effect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from mechlib.components import Component, nodes
from mechlib.facts import Prompt
from mechlib.models.forward import Entry
from mechlib.models.hooks import Place, hooks, place
from mechlib.models.language_model import LanguageModel
from mechlib.models.precision import Precision, computing, in_precision
from mechlib.patching.pairs import POSITIONS, Corruption, Pair, make_pair
from mechlib.patching.scores import Scores

Direction = Literal["denoise", "noise"]
Report = Callable[[int, int], None]


def silent(_done: int, _of: int) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Effects:
    """Of one batch: each component's effect on the base run [text], and the logit differences of both runs [text].

    ``positions`` holds the effects by class of position [text, class], where the method tells them apart.
    """

    components: dict[Component, Tensor]
    base: Tensor
    source: Tensor
    positions: dict[Component, Tensor] = field(default_factory=dict)


Method = Callable[[LanguageModel, Pair, Entry, Entry], Effects]


def sweep(
    name: str,
    method: Method,
    model: LanguageModel,
    prompts: Sequence[Prompt],
    *,
    corruption: Corruption,
    direction: Direction,
    seed: int,
    batch_size: int,
    report: Report,
    precision: Precision = "float32",
) -> Scores:
    """Score components with ``method(model, pair, base, source)``, batch by batch: memory does not grow with the prompts.

    ``denoise`` brings outputs of the clean run into the corrupted one (what suffices), ``noise``
    those of the corrupted run into the clean one (what is necessary). Scores are divided by the
    difference that the whole corruption makes, so larger means more important in both directions.
    """
    machine = in_precision(model, precision)
    found: list[Effects] = []
    for start in range(0, len(prompts), batch_size):
        pair = make_pair(machine, prompts[start : start + batch_size], corruption, seed + start)
        base, source = (pair.corrupted, pair.clean) if direction == "denoise" else (pair.clean, pair.corrupted)
        with computing(machine, precision):
            found.append(method(machine, pair, base, source))
        report(min(start + batch_size, len(prompts)), len(prompts))
    return _scores(f"{name} ({direction})", found, direction)


def _scores(name: str, found: Sequence[Effects], direction: Direction) -> Scores:
    """Effects of all batches as shares of the whole difference between the runs."""
    base, source = (torch.cat([getattr(batch, run) for batch in found]).double() for run in ("base", "source"))
    span = (source - base).sum().item()
    effects = {component: torch.cat([batch.components[component] for batch in found]).double() for component in found[0].components}
    shares = {
        component: torch.cat([batch.positions[component] for batch in found]).double().sum(0) / span for component in found[0].positions
    }
    corrupted, clean = (base, source) if direction == "denoise" else (source, base)
    return Scores(
        method=name,
        values={component: effect.sum().item() / span for component, effect in effects.items()},
        clean=clean.mean().item(),
        corrupted=corrupted.mean().item(),
        effects={component: _rounded(effect) for component, effect in effects.items()},
        spans=_rounded(source - base),
        positions={component: dict(zip(POSITIONS, _rounded(share), strict=True)) for component, share in shares.items()},
    )


def _rounded(values: Tensor) -> tuple[float, ...]:
    # What is kept for each prompt is to be read, not computed back to the score: six decimals keep files small.
    return tuple(round(value, 6) for value in values.tolist())


def component_outputs(model: LanguageModel, pair: Pair, entry: Entry, attention: bool = False) -> tuple[dict[Place, Tensor], Tensor]:
    """One run: outputs of all heads and MLPs (and whole attention layers) at the suffix positions, and each text's logit difference."""
    outputs: dict[Place, Tensor] = {}
    places = {place(component) for component in nodes(model.architecture)}
    places |= {(layer, "attn") for layer in range(model.architecture.n_layers)} if attention else set()
    return outputs, pair.lead(model, entry, hooks(model, {at: _keeper(outputs, at) for at in sorted(places)}))


def _keeper(outputs: dict[Place, Tensor], at: Place) -> Callable[[Tensor], None]:
    return lambda tensor: outputs.update({at: tensor})


def by_position(pair: Pair, values: Tensor) -> Tensor:
    """Sums of ``values`` [text, position] over classes of positions: [text, class]."""
    return torch.stack([(values * (pair.positions == index)).sum(1) for index in range(len(POSITIONS))], 1)
