"""What a study costs on other models and cards: computed from sizes, not measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from mechlib.components import Architecture, Component
from mechlib.models import resolve
from mechlib.runs.cost import CARD, factor
from mechlib.runs.memory import WIDEST, Memory, PromptBatch, Sizes, lengths, sizes
from mechlib.runs.spec import with_inputs
from mechlib.runs.study import Study

# Llama 3's sizes (arXiv 2407.21783, table 3), with grouped-query attention of 8 groups and a vocabulary of 128,256.
MODELS: Mapping[str, Sizes] = {
    "8B": sizes(resolve("llama-3-8b")),
    "70B": Sizes(Architecture(80, 64, 8, 8192, 128, 28672), 128_256, tied=False),
    "405B": Sizes(Architecture(126, 128, 8, 16384, 128, 53248), 128_256, tied=False),
}
CARDS = (1, 8, 64)
# Bytes of a card's memory that edits may take: 80 GB less what the libraries hold.
ROOM = 75e9


def study_costs(study: Study, needs: Sequence[str], cards: Sequence[int] = CARDS) -> pd.DataFrame:
    """One line a model: weights, gigabytes of an edit, and hours of a study's runs in bfloat16 on so many cards.

    ``study`` says which runs there are; ``needs`` as of :mod:`mechlib.runs.needs`. Runs that fit on a part of the cards go on side by
    side, those that need several share them without being faster. "too large": an edit at fact lookup needs more cards than there are.
    """
    declared = sum(run.seconds for run in with_inputs(spec for need in needs for _, spec in study.runs(need)))
    lines: list[dict[str, str]] = []
    for name, model in MODELS.items():
        hours = declared * factor(model, "bfloat16", CARD) / 3600
        lookup, everything = (edit_bytes(study, model, whole) for whole in (False, True))
        need = math.ceil(lookup / ROOM)
        spent = {f"{count} card{'s' * (count != 1)}": _hours(hours, count, need) for count in cards}
        lines.append({"model": name, "weights": f"{model.weights / 1e9:.0f} billion", "edit of fact lookup": f"{lookup / 1e9:,.0f} GB",
                      "edit of all weights": f"{everything / 1e9:,.0f} GB", **spent})  # fmt: skip
    return pd.DataFrame(lines)


def edit_bytes(study: Study, model: Sizes, everything: bool) -> float:
    """Bytes of an edit in bfloat16 at its peak, prompts one by one: of fact lookup's MLPs (at most so many), or of ``everything``."""
    layers = model.architecture.n_layers
    mlps = model.lookup or math.ceil(WIDEST * layers)
    trained = model.localizable if everything else mlps * Component(0, "mlp").size(model.architecture)
    training, floor = replace(study.training("fact_lookup", 0, 0), micro_batch=1, precision="bfloat16"), study.floor(0, 0)
    prompts = study.forget_set_size + (floor.count if floor else 0) + training.retain_batch
    batch = PromptBatch(prompts, *lengths(study))
    return Memory("", model, "bfloat16", training, batch, study.size.text_length, trained, layers).total


def _hours(hours: float, cards: int, need: int) -> str:
    """Hours on ``cards`` of which a run needs so many at once."""
    if cards < need:
        return "too large"
    spent = hours / (cards // need)
    return f"{spent:,.1f} h" if spent >= 1 else f"{max(1, round(60 * spent))} min"
