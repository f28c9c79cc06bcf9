"""Depth of erasure: how far up does an edited model still hand on what its answer is made of?

After Unlearning Depth Score (arXiv 2605.24614): the residual stream of the edited model is patched
into the unedited one, layer by layer. That score takes a model that never learned the facts as its
reference of not knowing; here, where there is none, it is a run whose subject is corrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib import checks
from mechlib.errors import MechlibError
from mechlib.facts import Prompt
from mechlib.models.forward import Entry, residual_stream
from mechlib.models.language_model import LanguageModel
from mechlib.patching.pairs import Corruption, Pair, check_prompts, make_pair


@dataclass(frozen=True)
class Reference:
    """What the unedited model does with one fact: :class:`DepthRow`'s ``clean``, and its ``corrupted`` after each layer but the last."""

    clean: float
    corrupted: tuple[float, ...]


class DepthError(MechlibError, ValueError):
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
def references(
    original: LanguageModel, prompts: Sequence[Prompt], seed: int, *, corruption: Corruption = "noise", draws: int = 4, batch_size: int = 64
) -> list[Reference]:
    """Clean and corrupted runs of the unedited model: the same for all edits of a fact. One a prompt, in their order.

    Each prompt has draws of its own, whatever stands beside it. Raises :class:`mechlib.facts.FactError` if
    there are no prompts or one has no other option than its answer, and :class:`DepthError` if there is no draw.
    """
    check_prompts(prompts)
    if draws < 1:
        raise DepthError(f"the reference needs at least 1 draw, not {draws}")
    found: list[Reference] = []
    for start in range(0, len(prompts), checks.whole("batch_size", batch_size, least=1)):
        pair = make_pair(original, prompts[start : start + batch_size], corruption, seed)
        after = range(1, original.architecture.n_layers)
        drawn = [_patched(original, pair, residual_stream(original, pair.packed, after, pair.corrupt(draw))) for draw in range(draws)]
        corrupted = torch.stack(drawn).mean(0).tolist()
        clean = pair.logit_difference(original, pair.clean).tolist()
        found += [Reference(own, tuple(row)) for own, row in zip(clean, corrupted, strict=True)]
    return found


@torch.no_grad()
def depth(
    model: LanguageModel,
    original: LanguageModel,
    prompts: Sequence[Prompt],
    references: Sequence[Reference],
    *,
    least_drop: float = 0.5,
    batch_size: int = 64,
) -> list[DepthRow]:
    """Patch the last token of each prompt after each layer but the last, from ``model`` into ``original``.

    ``original`` is the unedited model and must not share edited weights with ``model``; ``references``
    are its :func:`references`. Above the patched layer it still sees the clean subject: in layers too
    low to hold the answer there, corruption takes less than ``least_drop`` logits, and nothing is
    claimed. The weight of a row in a mean is ``clean - corrupted``. One row a prompt and layer, in this
    order. Raises :class:`mechlib.facts.FactError` as :func:`references` does, and :class:`DepthError` if they are not
    those of the prompts or ``least_drop`` is not above 0.
    """
    check_prompts(prompts)
    depths = original.architecture.n_layers - 1
    if not least_drop > 0 or [len(one.corrupted) for one in references] != [depths] * len(prompts):
        raise DepthError(f"depth needs a least drop above 0 and a reference of {depths} layers for each of {len(prompts)} prompts")
    rows: list[DepthRow] = []
    for start in range(0, len(prompts), checks.whole("batch_size", batch_size, least=1)):
        part = prompts[start : start + batch_size]
        # Of this pair only the clean run is used.
        pair = make_pair(original, part, "tokens", seed=0)
        edited = _patched(original, pair, residual_stream(model, pair.packed, range(1, depths + 1))).tolist()
        for prompt, after, known in zip(part, edited, references[start : start + batch_size], strict=True):
            for layer, (patched, corrupted) in enumerate(zip(after, known.corrupted, strict=True)):
                erased = _erased(known.clean, patched, corrupted, least_drop)
                rows.append(DepthRow(prompt.fact.subject, layer, known.clean, patched, corrupted, erased))
    return rows


def _patched(original: LanguageModel, pair: Pair, donors: Sequence[Entry]) -> Float[Tensor, "text layer"]:
    """Logit differences of the clean run whose last token's stream is taken from ``donors``, layer by layer."""
    ends, found = pair.packed.ends, list[Tensor]()
    entered = residual_stream(original, pair.packed, [donor.layer for donor in donors], pair.clean)
    for entry, donor in zip(entered, donors, strict=True):
        mixed = entry.stream.flatten(0, 1).index_put((ends,), donor.at(ends)).view_as(entry.stream)
        found.append(pair.logit_difference(original, Entry(entry.layer, mixed)))
    return torch.stack(found, 1)


def _erased(clean: float, edited: float, corrupted: float, least_drop: float) -> float | None:
    drop = clean - corrupted
    return None if drop < least_drop else min(1.0, max(0.0, (clean - edited) / drop))
