"""The same probes with other classifiers and on fewer facts: what fact lookup's choice of layers depends on."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from mechlib.patching.probing import CLASSIFIERS, Classifier, classifier, without_rounding

# All that the study's probe is fitted on, or those alone that output tracing sees.
Facts = Literal["all", "traced"]


@dataclass(frozen=True)
class VariantRow:
    """One kind of probe at the last token of the subject, entering one layer: ``correct`` of ``total`` held-out facts."""

    classifier: Classifier
    facts: Facts
    layer: int
    correct: int
    total: int


def probe_variants(
    streams: Sequence[Float[np.ndarray, "fact d_model"]], answers: Sequence[str], n_traced: int, seed: int, folds: int = 5
) -> list[VariantRow]:
    """Cross-validated probes of every kind on the residual stream at the subject entering each layer above the first.

    ``streams`` are those that :func:`mechlib.patching.probing.answer_streams` reads at the subject; the first ``n_traced`` of the facts
    are those that output tracing sees. On all facts the folds are those of :func:`mechlib.patching.probing.probe`. On fewer there are as
    many as the commonest answer has facts, if that is less; where no two answers have two facts each, nothing can be fitted and there are
    no rows.
    """
    counts: dict[Facts, int] = {"all": len(answers), "traced": n_traced}
    rows: list[VariantRow] = []
    for facts, count in counts.items():
        known = np.array(answers[:count])
        shared = [number for _, number in Counter(known.tolist()).most_common(2)]
        # So that every probe has seen two answers, whichever fold is held out.
        if len(shared) < 2 or shared[1] < 2:
            continue
        for kind in CLASSIFIERS:
            for layer in range(1, len(streams)):
                correct = _held_out(kind, without_rounding(streams[layer][:count]), known, min(folds, shared[0]), seed)
                rows.append(VariantRow(kind, facts, layer, correct, count))
    return rows


def _held_out(kind: Classifier, features: Float[np.ndarray, "fact d_model"], answers: np.ndarray, folds: int, seed: int) -> int:
    """How many facts a probe gets right that was fitted on the other folds."""
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    with warnings.catch_warnings():
        # That an answer has fewer facts than there are folds: it is counted as wrong where no probe has seen it.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        splits = StratifiedKFold(folds, shuffle=True, random_state=seed)
        return int(np.sum(cross_val_predict(classifier(kind), features, answers, cv=splits) == answers))
