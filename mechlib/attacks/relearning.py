"""Relearning: an attacker who holds some of the true answers trains on them, and asks about the others (the paper's attack).

The curve of a learning rate and a rank says little by itself: fine-tuning also teaches what was
never known. Two attacks without the knowledge tell how much: on each other's answers
(``permuted``), and on retain facts and text alone (``none``).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np

from mechlib.attacks.attack import Attack, Attacked, Knowledge
from mechlib.attacks.finetuning import MOST_PROMPTS, FineTuning, FineTuningError, finetune, training_batches
from mechlib.facts import FORMATS, Fact, Prompt, prompt
from mechlib.facts.relations import relation_of
from mechlib.models.language_model import LanguageModel

Labels = Literal["true", "permuted", "none"]


def relearning(
    model: LanguageModel,
    knowledge: Knowledge,
    seed: int,
    *,
    ranks: Sequence[int],
    learning_rates: Sequence[float],
    steps: int,
    checkpoints: Sequence[int],
    labels: Labels = "true",
    retain_batch: int | None = None,
    text_batch: int = 1,
) -> Generator[Attacked]:
    """One curve for each rank (0: all weights of the decoder blocks) and learning rate, each from the model as it is given.

    A step sees the relearn prompts (at most ``MOST_PROMPTS``, then in turn), as many retain prompts
    if nothing else is said, and ``text_batch`` texts. Raises :class:`FineTuningError` before any
    work for wrong settings, and if there is nothing to relearn or all answers are the same and cannot be permuted.
    """
    if labels not in get_args(Labels):
        raise FineTuningError(f"there are no labels '{labels}' to relearn (there are: {', '.join(get_args(Labels))})")
    curves = [FineTuning(rank, learning_rate, steps) for rank in ranks for learning_rate in learning_rates]
    if not curves or not checkpoints or not all(0 <= checkpoint <= steps for checkpoint in checkpoints):
        raise FineTuningError(f"relearning needs a rank, a learning rate and checkpoints within {steps} steps")
    if not knowledge.relearn:
        raise FineTuningError("there are no facts to relearn")
    relearn = permuted(knowledge.relearn, seed) if labels == "permuted" else knowledge.relearn
    count = min(len(relearn), MOST_PROMPTS)
    groups = [(relearn, 0 if labels == "none" else count), (knowledge.retain, count if retain_batch is None else retain_batch)]
    for how in curves:
        batches = training_batches(model, groups, knowledge.texts, text_batch, seed)
        for step, attacked in finetune(model, batches, how, checkpoints, seed):
            yield Attacked(str(how), step, attacked)


def permuted(prompts: Sequence[Prompt], seed: int) -> list[Prompt]:
    """The prompts with the facts' answers given to one another, so that as few facts as possible keep their own.

    A fact gets an answer of its own relation where another has a different one, else of any open
    relation; its prompts all get the same. Raises :class:`FineTuningError` if no fact can get another.
    """
    facts = list(dict.fromkeys(prompt.fact for prompt in prompts))
    answers = {fact: fact.answer for fact in facts}
    for alike in (lambda fact: fact.relation, lambda fact: relation_of(fact).options):
        own = [fact for fact in facts if answers[fact] == fact.answer]
        for group in _grouped(own, alike):
            answers |= zip(group, derangement([fact.answer for fact in group], seed), strict=True)
    if all(answers[fact] == fact.answer for fact in facts):
        raise FineTuningError("the facts to relearn all have the same answer: there is nothing to permute")
    return [_answered(one, answers[one.fact]) for one in prompts]


def derangement(labels: Sequence[str], seed: int) -> list[str]:
    """The same labels in a random order in which as few as possible stay: none, unless one label is more than half of them."""
    from scipy.optimize import linear_sum_assignment  # only a null needs it, and every page and plan knows the attack

    stays = np.array([[label == other for other in labels] for label in labels], dtype=float)
    # All chance together costs less than one label that stays.
    chance = np.random.default_rng(seed).random(stays.shape) / (len(labels) + 1)
    return [labels[place] for place in linear_sum_assignment(stays + chance)[1]]  # pyright: ignore[reportReturnType]


def _grouped(facts: Iterable[Fact], alike: Callable[[Fact], Any]) -> list[list[Fact]]:
    groups: dict[Any, list[Fact]] = {}
    for fact in facts:
        groups.setdefault(alike(fact), []).append(fact)
    return list(groups.values())


def _answered(asked: Prompt, answer: str) -> Prompt:
    """The same text, as if ``answer`` were true; no fact is edited to its own answer, so it may lose its edit target for that."""
    target = asked.fact.target if asked.fact.target != answer else None
    other = prompt(replace(asked.fact, answer=answer, target=target), FORMATS[asked.format], asked.rotation)
    return replace(asked, answer=other.answer, options=other.options)


# Of a step, what grows with the rank of the adapters is as much as everything else at this rank (one core of a small model).
_RANK = 340


def _effort(given: Mapping[str, Any]) -> float:
    return given["steps"] * len(given["learning_rates"]) * sum(1 + rank / _RANK for rank in given["ranks"])


RELEARNING = Attack(
    "relearning", "Relearning", 1, relearning,
    "LoRA on every linear layer, trained on the true answers of one half of the forget set, on retain facts and on text; "
    "asked about the other half.",
    {"quick": {"ranks": [8], "learning_rates": [5e-4], "steps": 6, "checkpoints": [3, 6]},
     "full": {"ranks": [8], "learning_rates": [1e-3], "steps": 8, "checkpoints": [8]},
     # 8 micro-batches of 4 facts of each kind a step, and of 2 texts.
     "paper": {"ranks": [512], "learning_rates": [2e-4], "steps": 20, "checkpoints": [10, 20], "retain_batch": 32, "text_batch": 16}},
    folds=True, nulls={"permuted answers": {"labels": "permuted"}, "retain facts only": {"labels": "none"}}, seconds=8.5, effort=_effort,
)  # fmt: skip
