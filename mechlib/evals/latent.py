"""Latent knowledge: what do linear probes still read off an edited model about the facts it was edited on?

The control is the same call on the unedited model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mechlib import checks
from mechlib.facts import FactError, Prompt
from mechlib.models.language_model import LanguageModel
from mechlib.patching.probing import ReadAt, answer_streams, classifier, cross_validate, without_rounding


@dataclass(frozen=True)
class LatentRow:
    """What the probe at one layer and position says about one fact that it was not trained on.

    ``correct`` compares with the true answer, ``edited`` with the edit target. The rest is about the
    probe, the same for all facts: of ``held_out_total`` training facts it gets ``held_out_correct``
    right when cross-validated, and ``control_correct`` when trained on shuffled answers. What it says
    means something only if the first is clearly above the second (Hewitt and Liang 2019).
    """

    subject: str
    layer: int
    position: ReadAt
    said: str
    correct: bool
    edited: bool
    held_out_correct: int
    held_out_total: int
    control_correct: int


def latent(
    model: LanguageModel, train: Sequence[Prompt], test: Sequence[Prompt], seed: int, *, folds: int = 5, batch_size: int = 64
) -> list[LatentRow]:
    """Probes trained on the true answers of facts that no edit touched, applied to the facts of ``test``.

    On the residual stream entering each layer (layer 0 is the embedding), at the last token of the
    subject and at the last token of the prompt (the paper's latent probing, which reads only the
    latter). One row a layer, position and fact of ``test``, in this order. A probe says only answers
    that ``train`` has: another edit target is never said. Raises :class:`FactError` if a relation is
    open, if a subject is in both parts, or if ``train`` has too few facts with an answer of ``test``.
    """
    _check(train, test, folds)
    learned, asked = answer_streams(model, train, batch_size), answer_streams(model, test, batch_size)
    answers = [prompt.fact.answer for prompt in train]
    rows: list[LatentRow] = []
    for trained in cross_validate(learned, answers, seed, folds):
        layer, position = trained.layer, trained.position
        said = classifier().fit(without_rounding(learned[position][layer]), answers).predict(asked[position][layer])
        for prompt, answer in zip(test, map(str, said), strict=True):
            fact = prompt.fact
            counts = trained.correct, trained.total, trained.control_correct
            rows.append(LatentRow(fact.subject, layer, position, answer, answer == fact.answer, answer == fact.target, *counts))
    return rows


def _check(train: Sequence[Prompt], test: Sequence[Prompt], folds: int) -> None:
    checks.whole("folds", folds, least=2)
    for prompt in (*checks.kinds("train", train, Prompt), *checks.kinds("test", test, Prompt)):
        if prompt.open:
            raise FactError(f"probes need a relation with a closed list of answers, and '{prompt.fact.relation}' has none")
    if not test:
        raise FactError("there is no fact to apply probes to")
    if len(relations := {prompt.fact.relation for prompt in (*train, *test)}) > 1:
        raise FactError(f"a probe reads one relation, not {len(relations)}: {', '.join(sorted(relations))}")
    if both := {prompt.fact.subject for prompt in train} & {prompt.fact.subject for prompt in test}:
        raise FactError(f"a probe must not be trained on what it is applied to: {min(both)} is in both parts")
    counts = Counter(prompt.fact.answer for prompt in train)
    if len(counts) < 2:
        raise FactError(f"probes need training facts with two different answers, and there are {len(counts)}")
    for answer in sorted({*counts, *(prompt.fact.answer for prompt in test)}):
        if counts[answer] < folds:
            raise FactError(f"cross-validation in {folds} parts needs as many training facts with the answer '{answer}': {counts[answer]}")
