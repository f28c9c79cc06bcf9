"""Linear probes: from which layer on can the answer be read off the residual stream?"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch

from mechlib import checks
from mechlib.facts import FactError, Prompt
from mechlib.models.forward import hidden_at, residual_stream, tokenize
from mechlib.models.language_model import LanguageModel
from mechlib.models.tokens import subject_positions

# Of the largest feature: what sums of a few hundred products in float32 may be off by.
_ROUNDING = 1e-5

ReadAt = Literal["subject", "prompt"]
READ_AT: tuple[ReadAt, ...] = ("subject", "prompt")
# Kinds of probe: ridge classifiers with their alpha, and logistic regression as the paper has it (scikit-learn's C = 1).
Classifier = Literal["ridge 100", "ridge 1000", "ridge 10000", "logistic"]
CLASSIFIERS: tuple[Classifier, ...] = get_args(Classifier)
# The paper fits a logistic regression; ridge has a closed form, is as accurate here and 3 times as fast.
USED: Classifier = "ridge 1000"


@dataclass(frozen=True)
class ProbeRow:
    """Probe answers at one layer and position: ``correct`` of ``total`` held-out facts, and with shuffled labels."""

    layer: int
    position: ReadAt
    correct: int
    total: int
    control_correct: int


def probe(model: LanguageModel, prompts: Sequence[Prompt], seed: int, folds: int = 5, batch_size: int = 64) -> list[ProbeRow]:
    """Cross-validated probes on the residual stream entering each layer; layer 0 is the embedding.

    Read at the last token of the subject and at the last token of the prompt. Every fact is one
    subject, so the folds are disjoint in subjects. The control trains the same probe on shuffled
    labels (Hewitt and Liang 2019). A probe is about all facts together: its folds, its standardization
    and the shuffled labels depend on which facts are given and in which order. A study's order follows from its
    splits, which are part of what a run is asked. Raises :class:`mechlib.facts.FactError` if no answer has enough facts.
    """
    return cross_validate(answer_streams(model, prompts, batch_size), [prompt.fact.answer for prompt in prompts], seed, folds)


def cross_validate(
    streams: Mapping[ReadAt, Sequence[np.ndarray]], answers: Sequence[str], seed: int, folds: int = 5, kind: Classifier = USED
) -> list[ProbeRow]:
    """:func:`probe` on residual streams [layer][fact, d_model] that were computed before."""
    from sklearn.model_selection import StratifiedKFold, cross_val_predict  # a second, which only probes have to pay

    checks.whole("folds", folds, least=2)
    counts = Counter(answers)
    if len(counts) < 2 or max(counts.values()) < folds:
        raise FactError(f"probes need facts with two different answers, and {folds} facts with one of them: there are {len(answers)} facts "
                        f"with {len(counts)} answers")  # fmt: skip
    labels = np.array(answers)
    shuffled = np.random.default_rng(seed).permutation(labels)
    splits = StratifiedKFold(folds, shuffle=True, random_state=seed)
    rows: list[ProbeRow] = []
    with warnings.catch_warnings():
        # That an answer has fewer facts than there are folds: it is counted as wrong where no probe has seen it.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        for layer in range(len(streams["prompt"])):
            for position in READ_AT:
                features = without_rounding(streams[position][layer])
                correct, control = (
                    int(np.sum(cross_val_predict(classifier(kind), features, truth, cv=splits) == truth)) for truth in (labels, shuffled)
                )
                rows.append(ProbeRow(layer, position, correct, len(labels), control))
    return rows


def classifier(kind: Classifier = USED) -> Any:
    """An untrained probe: a linear classifier on standardized features. Raises :class:`mechlib.checks.ParameterError` for another kind."""
    from sklearn.linear_model import LogisticRegression, RidgeClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    checks.choice("kind", kind, CLASSIFIERS)
    if kind == "logistic":
        # scikit-learn's own solver and tolerance stop where log odds are .1 to .4 nats from those of the fit, elsewhere on each processor.
        return make_pipeline(FunctionTransformer(np.float64), StandardScaler(), LogisticRegression(solver="newton-cg", tol=1e-8))
    return make_pipeline(StandardScaler(), RidgeClassifier(alpha=float(kind.removeprefix("ridge "))))


def without_rounding(features: np.ndarray) -> np.ndarray:
    """Features [fact, d_model], of which those that differ between facts by rounding alone have the first fact's value.

    At the last token of a prompt, which is the same for all facts, a low layer has read nothing of the subject yet. What differs there
    is rounding, and standardized it would look like a feature.
    """
    spread = np.ptp(features, axis=0)
    return np.where(spread > _ROUNDING * np.abs(features).max(), features, features[:1])


@torch.no_grad()
def answer_streams(
    model: LanguageModel, prompts: Sequence[Prompt], batch_size: int = 64, final: bool = False
) -> dict[ReadAt, list[np.ndarray]]:
    """Residual streams [layer][fact, d_model] at the two positions, entering each layer, in float32.

    ``final``: with what the unembedding reads, the stream after the last layer and the last norm, as one layer more.
    Raises :class:`mechlib.facts.FactError` if there are no prompts.
    """
    if not checks.kinds("prompts", prompts, Prompt):
        raise FactError("there are no facts to read off the residual stream: give at least one prompt")
    kept: dict[ReadAt, list[list[np.ndarray]]] = {"subject": [], "prompt": []}
    for part in checks.parts("batch_size", prompts, batch_size):
        spans = [subject_positions(model, prompt) for prompt in part]
        packed = tokenize(model, [prompt.text for prompt in part])
        subject = torch.stack([path[last] for path, (_, last) in zip(packed.paths, spans, strict=True)])
        entries = residual_stream(model, packed, range(model.architecture.n_layers))
        nodes: dict[ReadAt, torch.Tensor] = {"subject": subject, "prompt": packed.ends}
        ends = hidden_at(model, packed, torch.cat([subject, packed.ends])).split(len(part)) if final else ()
        read_last = dict(zip(READ_AT, ends, strict=False))
        for position, read in nodes.items():
            streams = [entry.at(read) for entry in entries] + ([read_last[position]] if final else [])
            kept[position].append([stream.float().cpu().numpy() for stream in streams])
    return {where: [np.concatenate(layer) for layer in zip(*parts, strict=True)] for where, parts in kept.items()}
