"""Depth of erasure: how far up does an edited model still hand on what its answer is made of?

After Unlearning Depth Score (arXiv 2605.24614): the residual stream of the edited model is patched
into the unedited one, layer by layer. That score takes a model that never learned the facts as its
reference of not knowing; here, where there is none, it is a run whose subject is corrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.facts import FactError, Prompt
from mechlib.models.forward import Entry, residual_stream
from mechlib.models.language_model import LanguageModel
from mechlib.patching.pairs import Corruption, make_pair


class DepthError(ValueError):
    """Settings that make no measure of depth; the message says what to change."""


@dataclass(frozen=True)
class DepthRow:
    """One fact, patched after one layer.

    Logit of the true answer minus the mean logit of the other options in the unedited model:
    unpatched (``clean``), with the edited model's stream (``edited``), and with that of a corrupted
    run (``corrupted``, a mean over draws). ``erased`` is the share of what corruption takes that the
    edit takes, between 0 (intact) and 1 (gone); missing where corruption takes too little to tell.
    """

    subject: str
    layer: int
    clean: float
    edited: float
    corrupted: float
    erased: float | None


@torch.no_grad()
def depth(
    model: LanguageModel,
    original: LanguageModel,
    prompts: Sequence[Prompt],
    seed: int,
    *,
    corruption: Corruption = "noise",
    draws: int = 4,
    least_drop: float = 0.5,
    batch_size: int = 64,
) -> list[DepthRow]:
    """Patch the last token of each prompt after each layer but the last, from ``model`` into ``original``.

    ``original`` is the unedited model and must not share edited weights with ``model``. Above the
    patched layer it still sees the clean subject: in layers too low to hold the answer there,
    corruption takes less than ``least_drop`` logits, and nothing is claimed. The weight of a row in a
    mean is ``clean - corrupted``. One row a prompt and layer, in this order. Raises :class:`FactError`
    if a prompt has no other option than its answer or more options than the next prompt, and
    :class:`DepthError` for settings that make no reference.
    """
    _check(prompts, draws, least_drop)
    rows: list[DepthRow] = []
    for start in range(0, len(prompts), batch_size):
        part = prompts[start : start + batch_size]
        clean, edited, corrupted = _leads(model, original, part, seed + start, corruption, draws)
        for prompt, lead, *patched in zip(part, clean, edited, corrupted, strict=True):
            for layer, (after, reference) in enumerate(zip(*patched, strict=True)):
                erased = _erased(lead, after, reference, least_drop)
                rows.append(DepthRow(prompt.fact.subject, layer, lead, after, reference, erased))
    return rows


def _check(prompts: Sequence[Prompt], draws: int, least_drop: float) -> None:
    if draws < 1 or not least_drop > 0:
        raise DepthError(f"the reference needs at least 1 draw and a least drop above 0, not {draws} and {least_drop}")
    for prompt in prompts:
        if len(prompt.options) < 2:
            raise FactError(f"{prompt.fact.subject}: there is no other answer to compare with; give the fact an edit target")
        if len(prompt.options) != len(prompts[0].options):
            raise FactError(
                f"{prompt.fact.subject} has {len(prompt.options)} options and {prompts[0].fact.subject} has {len(prompts[0].options)}"
            )


def _leads(
    model: LanguageModel, original: LanguageModel, prompts: Sequence[Prompt], seed: int, corruption: Corruption, draws: int
) -> tuple[list[float], list[list[float]], list[list[float]]]:
    """Logit differences: clean [text]; with the edited and with the corrupted stream [text][layer]."""
    pair = make_pair(original, prompts, corruption, seed)
    texts, after = torch.arange(len(prompts), device=original.device), range(1, original.architecture.n_layers)
    streams = residual_stream(original, pair.batch, after, pair.clean)

    def patched(donors: Sequence[Entry]) -> Float[Tensor, "text layer"]:
        leads: list[Tensor] = []
        for stream, donor in zip(streams, donors, strict=True):
            suffix = stream.suffix.clone()
            suffix[texts, pair.batch.last] = donor.suffix[texts, pair.batch.last]
            leads.append(pair.lead(original, replace(stream, suffix=suffix)))
        return torch.stack(leads, 1)

    edited = patched(residual_stream(model, pair.batch, after))
    corrupted = torch.stack([patched(residual_stream(original, pair.batch, after, pair.corrupt(draw))) for draw in range(draws)])
    return pair.lead(original, pair.clean).tolist(), edited.tolist(), corrupted.mean(0).tolist()


def _erased(clean: float, edited: float, corrupted: float, least_drop: float) -> float | None:
    drop = clean - corrupted
    return None if drop < least_drop else min(1.0, max(0.0, (clean - edited) / drop))
