"""Benchmarks on which the unedited model is above chance: an edit cannot lower what is at chance.

The authors run MMLU and SciQ. For a small model many benchmarks have no signal (``SIGNAL``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Points above chance from which a benchmark can show damage: a thousand questions have a standard error of 1.6.
ROOM = 10.0


@dataclass(frozen=True)
class Signal:
    """A benchmark (its ``task`` and its ``name`` for readers) for one unedited model: published score and what guessing gets (percent).

    It was asked with so many ``shots``.
    """

    task: str
    name: str
    score: float
    guessing: float
    shots: int
    source: str

    @property
    def usable(self) -> bool:
        """Whether the model is far enough above guessing to lose something."""
        return self.score - self.guessing >= ROOM


_CARD = "Gemma 3 model card, ai.google.dev/gemma/docs/core/model_card_3 (pre-trained 270M)"
# Guessing BoolQ is saying its commoner answer.
SIGNAL: Mapping[str, tuple[Signal, ...]] = {
    "gemma-3-270m": (
        Signal("arc_easy", "ARC (easy)", 57.7, 25.0, 0, _CARD),
        Signal("piqa", "PIQA", 67.7, 50.0, 0, _CARD),
        Signal("hellaswag", "HellaSwag", 40.9, 25.0, 10, _CARD),
        Signal("triviaqa", "TriviaQA", 15.4, 0.0, 5, _CARD),
        Signal("arc_challenge", "ARC (challenge)", 29.0, 25.0, 25, _CARD),
        Signal("winogrande", "WinoGrande", 52.0, 50.0, 5, _CARD),
        Signal("boolq", "BoolQ", 61.4, 62.2, 0, _CARD),
        Signal("mmlu", "MMLU", 24.9, 25.0, 0, "not on the model card: a third party's harness run on five subjects, shots not stated"),
    ),
}
