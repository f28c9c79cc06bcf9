"""Residue in intermediate layers: is the answer among the likeliest tokens if a layer's output is unembedded?

The head-projection attack of Patil et al. (2024, arXiv 2309.17410): the attacker takes the k
likeliest tokens after each of several layers as candidates, a budget of k times the layers, and
succeeds if the answer is one of them. The logit lens reads them (final norm, then unembedding).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib import checks
from mechlib.errors import MechlibError
from mechlib.facts import Prompt
from mechlib.models.forward import hidden_at, residual_stream, tokenize, unembed
from mechlib.models.language_model import LanguageModel
from mechlib.models.packed import Packed
from mechlib.models.tokens import answer_token


class ProjectionError(MechlibError, ValueError):
    """Settings that make no head projection; the message says what to change."""


@dataclass(frozen=True)
class ProjectionRow:
    """One fact, read after one layer; the output of the last layer is what the model says.

    ``rank`` (0 is first) counts the tokens preferred to the true answer, ``target_rank`` those
    preferred to the edit target; ``found``: the true answer is among the candidates. ``option_rank``
    counts only options, and is missing if the relation is open. ``other_ranks`` are those of the
    options that are neither, in the order of the prompt: a layer that offers every sport after a
    sports prompt tells nothing about the athlete.
    """

    subject: str
    format: str
    rotation: int
    layer: int
    rank: int
    target_rank: int | None
    option_rank: int | None
    other_ranks: tuple[int, ...]
    found: bool


@torch.no_grad()
def head_projection(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    *,
    candidates: int = 4,
    layers: Sequence[int] | None = None,
    batch_size: int = 64,
) -> list[ProjectionRow]:
    """Ranks at the last token of each prompt after each of ``layers`` (all, if not given).

    Rows go by prompt, then by layer, whatever the batches. An attack on a fact succeeds if any of
    its rows is ``found``. Raises :class:`ProjectionError` for layers that the model lacks or no candidates.
    """
    checks.kinds("prompts", prompts, Prompt)
    depth = model.architecture.n_layers
    chosen = range(depth) if layers is None else sorted(set(layers))
    if candidates < 1:
        raise ProjectionError(f"an attacker needs at least one candidate a layer, not {candidates}")
    if not chosen or not 0 <= min(chosen) <= max(chosen) < depth:
        raise ProjectionError(f"layers of {model.name} are 0 to {depth - 1}, not {', '.join(map(str, chosen)) or 'none'}")
    rows: dict[tuple[int, int], ProjectionRow] = {}
    for start in range(0, len(prompts), checks.whole("batch_size", batch_size, least=1)):
        part = prompts[start : start + batch_size]
        for layer, hidden in _read(model, tokenize(model, [prompt.text for prompt in part]), chosen):
            # Logits of one layer and batch at a time: a vocabulary is large.
            for number, logits in enumerate(unembed(model, hidden), start):
                rows[number, layer] = _row(model, prompts[number], layer, logits, candidates)
    return [rows[place] for place in sorted(rows)]


def _read(model: LanguageModel, packed: Packed, layers: Sequence[int]) -> Iterator[tuple[int, Float[Tensor, "text d_model"]]]:
    """The normed residual stream at each text's last token after each layer."""
    depth = model.architecture.n_layers
    # What a layer writes enters the next one; what the last one writes is computed from what enters it.
    entries = residual_stream(model, packed, sorted({min(layer + 1, depth - 1) for layer in layers}))
    for entry in entries:
        if entry.layer - 1 in layers:
            yield entry.layer - 1, model.final_norm(entry.at(packed.ends))
    if depth - 1 in layers:
        yield depth - 1, hidden_at(model, packed, packed.ends, entries[-1])


def _row(model: LanguageModel, prompt: Prompt, layer: int, logits: Float[Tensor, " vocabulary"], candidates: int) -> ProjectionRow:
    tokens = {option: answer_token(model, option, first=prompt.first) for option in prompt.options}
    ranks = {option: int((logits > logits[token]).sum()) for option, token in tokens.items()}
    rank = ranks[prompt.answer]
    return ProjectionRow(
        subject=prompt.fact.subject,
        format=prompt.format,
        rotation=prompt.rotation,
        layer=layer,
        rank=rank,
        target_rank=None if prompt.target is None else ranks[prompt.target],
        option_rank=None if prompt.open else sum(other < rank for other in ranks.values()),
        other_ranks=tuple(other for option, other in ranks.items() if option not in (prompt.answer, prompt.target)),
        found=rank < candidates,
    )
