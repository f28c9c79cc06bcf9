"""Ask prompts and write down, for each, what the model answered. Rows out, never a mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mechlib import checks
from mechlib.evals.hearing import Heard, first_tokens, whole_answers
from mechlib.facts import Prompt
from mechlib.models.language_model import LanguageModel
from mechlib.models.tokens import answer_tokens


@dataclass(frozen=True)
class Answer:
    """One prompt and the model's answer to it.

    ``log_probability`` and ``target_log_probability`` are natural logarithms over the whole
    vocabulary; ``probability`` and ``target_probability`` are renormalized over the options, as the
    paper does for sports; ``option_mass`` is the share of the vocabulary's probability that the
    options hold together; ``rank`` (0 is first) counts the tokens preferred to the true answer's first;
    ``said`` is the option preferred. Where every token competes (an open relation), ``said`` is the
    likeliest of all tokens, and ``correct`` and ``edited`` compare with it: a longer answer stands for its first token.
    """

    relation: str
    subject: str
    answer: str
    target: str | None
    format: str
    rotation: int
    group: str
    open: bool
    log_probability: float
    probability: float
    target_log_probability: float | None
    target_probability: float | None
    option_mass: float
    rank: int
    said: str
    correct: bool
    edited: bool


@dataclass(frozen=True)
class WholeAnswer(Answer):
    """An answer by all of its tokens: the log-probabilities are of them together, and ``correct`` and ``edited`` mean the whole answer.

    ``said`` is what :func:`mechlib.evals.hearing.whole_answers` calls so; ``answer_tokens`` counts those of the true answer;
    ``first_log_probability`` is that of the first of them.
    """

    answer_tokens: int
    first_log_probability: float


def answer_prompts(
    model: LanguageModel, prompts: Sequence[Prompt], group: str = "", batch_size: int = 64, *, whole: bool = True
) -> Sequence[Answer]:
    """Answers to ``prompts``, in their order. The result does not depend on the batch size (to rounding).

    ``whole``: by all tokens of an answer (:class:`WholeAnswer`), else by the first, as in the paper. Raises
    :class:`mechlib.facts.FactError` for answers that the model's tokens cannot tell apart, and
    :class:`mechlib.checks.ParameterError` for what is no prompt or no batch.
    """
    rows: dict[int, Answer] = {}
    hear = whole_answers if whole else first_tokens
    # Prompts of one relation, format and rotation share their demonstrations: side by side, these are computed once.
    checks.kinds("prompts", prompts, Prompt)
    order = sorted(range(len(prompts)), key=lambda index: (_alike(prompts[index]), index))
    for indices in checks.parts("batch_size", order, batch_size):
        for index, heard in zip(indices, hear(model, [prompts[index] for index in indices]), strict=True):
            row, true = _answer(prompts[index], heard, group), prompts[index].answer
            length, first = len(answer_tokens(model, true)), heard.first[true]
            rows[index] = WholeAnswer(**vars(row), answer_tokens=length, first_log_probability=first) if whole else row
    return [rows[index] for index in range(len(prompts))]


def _alike(prompt: Prompt) -> tuple[str, str, int]:
    return prompt.fact.relation, prompt.format, prompt.rotation


def _answer(prompt: Prompt, heard: Heard, group: str) -> Answer:
    options, target = heard.options, prompt.target
    mass = torch.tensor(list(options.values())).logsumexp(0).item()
    share = {option: torch.tensor(value - mass).exp().item() for option, value in options.items()}
    return Answer(
        relation=prompt.fact.relation,
        subject=prompt.fact.subject,
        answer=prompt.fact.answer,
        target=prompt.fact.target,
        format=prompt.format,
        rotation=prompt.rotation,
        group=group,
        open=prompt.open,
        log_probability=options[prompt.answer],
        probability=share[prompt.answer],
        target_log_probability=None if target is None else options[target],
        target_probability=None if target is None else share[target],
        option_mass=torch.tensor(mass).exp().item(),
        rank=heard.rank,
        said=heard.said,
        correct=prompt.answer in heard.picked,
        edited=target in heard.picked,
    )
