"""Fine-tuning that means no harm: what it brings back was never removed.

Three kinds, ordered by what they share with the facts that were edited: nothing, the subject
matter in other words, or the very form of the prompts with other facts in it. Public text can bring
forgotten facts back (Hu et al., arXiv 2406.13356), shared form more than shared topic (arXiv 2602.03379).
"""

from __future__ import annotations

import random
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Literal, cast, get_args

from mechlib.attacks.attack import Attack, Attacked, Knowledge
from mechlib.attacks.finetuning import FineTuning, FineTuningError, finetune, training_batches
from mechlib.facts import Prompt
from mechlib.models.language_model import LanguageModel
from mechlib.models.tokens import encode

Kind = Literal["unrelated", "same template", "same topic"]

# Written for this project: football, baseball and basketball in general, and nobody who plays them.
TOPIC = Path(__file__).with_name("topic_prose.txt")


def benign(
    model: LanguageModel,
    knowledge: Knowledge,
    seed: int,
    *,
    kinds: Sequence[str],
    sizes: Sequence[int],
    steps: int,
    learning_rate: float,
    rank: int,
    batch: int = 4,
) -> Generator[Attacked]:
    """Fine-tune on ``size`` examples of each kind, ``batch`` of them a step, each time from the model as it is given.

    A larger size holds the examples of a smaller one. Raises :class:`FineTuningError` before any
    work for wrong settings and for a size of which there are not enough examples.
    """
    how = FineTuning(rank, learning_rate, steps)
    if unknown := [kind for kind in kinds if kind not in get_args(Kind)]:
        raise FineTuningError(f"there is no benign text of the kind '{unknown[0]}' (there are: {', '.join(get_args(Kind))})")
    if not kinds or not sizes:
        raise FineTuningError("benign fine-tuning needs a kind of text and a size: give at least one of each")
    if batch < 1:
        raise FineTuningError(f"fine-tuning needs an example or more a step, not {batch}")
    examples = {kind: _examples(model, knowledge, cast(Kind, kind), seed) for kind in kinds}
    for kind, (prompts, texts) in examples.items():
        if short := [size for size in sizes if not 1 <= size <= len(prompts) + len(texts)]:
            raise FineTuningError(f"there are {len(prompts) + len(texts)} examples of the kind '{kind}', not {short[0]}")
    for kind, (prompts, texts) in examples.items():
        for size in sizes:
            batches = training_batches(model, [(prompts[:size], batch)], texts[:size], batch, seed)
            for step, attacked in finetune(model, batches, how, [steps], seed):
                yield Attacked(f"{kind}, {size}", step, attacked)


def topic_prose(model: LanguageModel, length: int) -> list[list[int]]:
    """The first ``length`` tokens (with the beginning token) of every paragraph about sport."""
    paragraphs = TOPIC.read_text(encoding="utf-8").strip().split("\n\n")
    return encode(model, paragraphs, at_most=length)


def _examples(model: LanguageModel, knowledge: Knowledge, kind: Kind, seed: int) -> tuple[list[Prompt], list[Sequence[int]]]:
    """All prompts, or all texts, of a kind, in a random order."""
    prompts, texts = list[Prompt](), list[Sequence[int]]()
    if kind == "same template":
        prompts += knowledge.retain
    elif kind == "unrelated":
        texts += knowledge.texts
    else:
        # As long as the unrelated texts, so that a step is worth the same.
        texts += topic_prose(model, max((len(text) for text in knowledge.texts), default=25))
    random.Random(seed).shuffle(prompts)
    random.Random(seed).shuffle(texts)
    return prompts, texts


BENIGN = Attack(
    "benign", "Benign fine-tuning", 1, benign,
    "LoRA trained on a few examples that say nothing about the forget set: unrelated text, the same template about other facts, "
    "prose on the same topic.",
    {"quick": {"kinds": ["unrelated", "same template", "same topic"], "sizes": [4], "steps": 5, "learning_rate": 5e-4, "rank": 8},
     "full": {"kinds": ["unrelated", "same template", "same topic"], "sizes": [8, 24], "steps": 20, "learning_rate": 2e-4, "rank": 8}},
    reads=(TOPIC,), seconds=15, effort=lambda given: given["steps"] * len(given["kinds"]) * len(given["sizes"]),
)  # fmt: skip
