"""What a study costs on other models and cards: computed from sizes, not measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from mechlib.components import Architecture, Component
from mechlib.runs.cost import CARD, factor
from mechlib.runs.memory import Memory, PromptBatch, Sizes
from mechlib.runs.spec import RunSpec
from mechlib.runs.study import Study

# Llama 3's sizes (arXiv 2407.21783, table 3), with grouped-query attention of 8 groups and a vocabulary of 128,256.
MODELS: Mapping[str, Sizes] = {
    "8B": Sizes(Architecture(32, 32, 8, 4096, 128, 14336), 128_256, tied=False, lookup=4),
    "70B": Sizes(Architecture(80, 64, 8, 8192, 128, 28672), 128_256, tied=False),
    "405B": Sizes(Architecture(126, 128, 8, 16384, 128, 53248), 128_256, tied=False),
}
CARDS = (1, 8, 64)
# Bytes of a card's memory that edits may take: 80 GB less what the libraries hold.
ROOM = 75e9
# Of all layers: as many MLPs as fact lookup has at most, where the paper has no number.
_WIDEST = 0.25


def study_costs(study: Study, needs: Sequence[str], cards: Sequence[int] = CARDS) -> pd.DataFrame:
    """One line a model: weights, gigabytes of an edit, and hours of a study's runs in bfloat16 on so many cards.

    ``study`` says which runs there are; ``needs`` as of :mod:`mechlib.runs.needs`. Runs that fit on a part of the cards go on side by
    side, those that need several share them without being faster. "too large": an edit at fact lookup needs more cards than there are.
    """
    declared = sum(run.seconds for run in _all(spec for need in needs for _, spec in study.runs(need)))
    lines: list[dict[str, str]] = []
    for name, sizes in MODELS.items():
        hours = declared * factor(sizes, "bfloat16", CARD) / 3600
        lookup, everything = (edit_bytes(study, sizes, whole) for whole in (False, True))
        need = math.ceil(lookup / ROOM)
        spent = {f"{count} card{'s' * (count != 1)}": _hours(hours, count, need) for count in cards}
        lines.append({"model": name, "weights": f"{sizes.weights / 1e9:.0f}e9", "edit of fact lookup": f"{lookup / 1e9:,.0f} GB",
                      "edit of all weights": f"{everything / 1e9:,.0f} GB", **spent})  # fmt: skip
    return pd.DataFrame(lines)


def edit_bytes(study: Study, sizes: Sizes, everything: bool) -> float:
    """Bytes of an edit in bfloat16 at its peak, prompts one by one: of fact lookup's MLPs, or of ``everything``."""
    layers = sizes.architecture.n_layers
    mlps = sizes.lookup or math.ceil(_WIDEST * layers)
    trained = sizes.localizable if everything else mlps * Component(0, "mlp").size(sizes.architecture)
    training = replace(study.training("fact_lookup", 0, 0), micro_batch=1, precision="bfloat16")
    batch = PromptBatch(study.forget_set_size + training.retain_batch, 0, study.size.text_length)
    return Memory("", sizes, "bfloat16", training, batch, study.size.text_length, trained, layers).total


def _all(wanted: Iterable[RunSpec]) -> list[RunSpec]:
    """The runs with all that they start from, each once."""
    found: dict[str, RunSpec] = {}
    left = list(wanted)
    while left:
        spec = left.pop()
        if spec.id not in found:
            found[spec.id] = spec
            left += spec.inputs.values()
    return list(found.values())


def _hours(hours: float, cards: int, need: int) -> str:
    """Hours on ``cards`` of which a run needs so many at once."""
    if cards < need:
        return "too large"
    spent = hours / (cards // need)
    return f"{spent:,.1f} h" if spent >= 1 else f"{max(1, round(60 * spent))} min"
