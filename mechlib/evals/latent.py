"""Latent knowledge: what do linear probes still read off an edited model about the facts it was edited on?

The control is the same call on the unedited model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mechlib import checks
from mechlib.facts import FactError, Prompt
from mechlib.models.language_model import LanguageModel
from mechlib.patching.probing import Classifier, ReadAt, answer_streams, classifier, cross_validate, without_rounding

# The paper's probe.
PROBE: Classifier = "logistic"


@dataclass(frozen=True)
class LatentRow:
    """What the probe at one layer and position says about one fact that it was not trained on.

    ``correct`` compares with the true answer, ``edited`` with the edit target. The rest is about the
    probe, the same for all facts: of ``held_out_total`` training facts it gets ``held_out_correct``
    right when cross-validated, and ``control_correct`` when trained on shuffled answers. What it says
    means something only if the first is clearly above the second (Hewitt and Liang 2019). ``log_odds`` (nats) are those that the
    probe gives to the true answer, against all other answers that it knows.
    """

    subject: str
    layer: int
    position: ReadAt
    said: str
    correct: bool
    edited: bool
    log_odds: float
    held_out_correct: int
    held_out_total: int
    control_correct: int


def latent(
    model: LanguageModel, train: Sequence[Prompt], test: Sequence[Prompt], seed: int, *, folds: int = 5, batch_size: int = 64
) -> list[LatentRow]:
    """Probes trained on the true answers of facts that no edit touched, applied to the facts of ``test``.

    A logistic regression, as in the paper, on the residual stream entering each layer (layer 0 is the embedding) and on what
    the unembedding reads (which the paper leaves out; it counts as one layer more), at the last token of the
    subject and at the last token of the prompt (the paper reads only the
    latter). One row a layer, position and fact of ``test``, in this order. A probe says only answers
    that ``train`` has: another edit target is never said. Raises :class:`FactError` if a relation is
    open, if a subject is in both parts, or if ``train`` has too few facts with an answer of ``test``.
    """
    _check(train, test, folds)
    learned, asked = (answer_streams(model, part, batch_size, final=True) for part in (train, test))
    answers = [prompt.fact.answer for prompt in train]
    rows: list[LatentRow] = []
    for trained in cross_validate(learned, answers, seed, folds, PROBE):
        layer, position = trained.layer, trained.position
        fitted = classifier(PROBE).fit(without_rounding(learned[position][layer]), answers)
        given = fitted.predict_log_proba(asked[position][layer])
        for prompt, logs in zip(test, given, strict=True):
            fact, answer = prompt.fact, str(fitted.classes_[logs.argmax()])
            counts = trained.correct, trained.total, trained.control_correct
            found = _log_odds(logs, fitted.classes_ == fact.answer)
            rows.append(LatentRow(fact.subject, layer, position, answer, answer == fact.answer, answer == fact.target, found, *counts))
    return rows


def _log_odds(logs: np.ndarray, true: np.ndarray) -> float:
    """Of log probabilities of all answers, the log odds of those that are ``true`` against the others."""
    return float(np.logaddexp.reduce(logs[true]) - np.logaddexp.reduce(logs[~true]))


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
