"""Ask prompts and write down, for each, what the model answered. Rows out, never a mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mechlib.facts import Prompt
from mechlib.models.forward import answer_logits, tokenize
from mechlib.models.language_model import LanguageModel
from mechlib.models.tokens import answer_token


@dataclass(frozen=True)
class Answer:
    """One prompt and the model's answer to it.

    ``log_probability`` and ``target_log_probability`` are natural logarithms over the whole
    vocabulary; ``probability`` and ``target_probability`` are renormalized over the options, as the
    paper does for sports; ``option_mass`` is the share of the vocabulary's probability that the
    options hold together; ``rank`` (0 is first) counts the tokens preferred to the true answer;
    ``said`` is the option preferred.
    """

    subject: str
    answer: str
    target: str | None
    format: str
    rotation: int
    group: str
    log_probability: float
    probability: float
    target_log_probability: float | None
    target_probability: float | None
    option_mass: float
    rank: int
    said: str
    correct: bool
    edited: bool


@torch.no_grad()
def ask(model: LanguageModel, prompts: Sequence[Prompt], group: str = "", batch_size: int = 64) -> list[Answer]:
    """Answers to ``prompts``, in their order. The result does not depend on the batch size (to rounding)."""
    rows: dict[int, Answer] = {}
    # Prompts of one format and rotation share their demonstrations, which are then computed once.
    order = sorted(range(len(prompts)), key=lambda index: (prompts[index].format, prompts[index].rotation, index))
    for indices in _runs(order, prompts, batch_size):
        logits = answer_logits(model, tokenize(model, [prompts[index].text for index in indices]))
        for index, row in zip(indices, logits.log_softmax(-1), strict=True):
            tokens = {option: answer_token(model, option) for option in prompts[index].options}
            rows[index] = _answer(prompts[index], row, tokens, group)
    return [rows[index] for index in range(len(prompts))]


def _runs(order: Sequence[int], prompts: Sequence[Prompt], size: int) -> list[list[int]]:
    batches: list[list[int]] = []
    for index in order:
        like = (prompts[index].format, prompts[index].rotation)
        if not batches or len(batches[-1]) == size or like != (prompts[batches[-1][0]].format, prompts[batches[-1][0]].rotation):
            batches.append([])
        batches[-1].append(index)
    return batches


def _answer(prompt: Prompt, row: torch.Tensor, tokens: dict[str, int], group: str) -> Answer:
    options = {option: float(row[token]) for option, token in tokens.items()}
    mass = torch.tensor(list(options.values())).logsumexp(0).item()
    share = {option: torch.tensor(value - mass).exp().item() for option, value in options.items()}
    said = max(options, key=lambda option: options[option])
    target = prompt.target
    return Answer(
        subject=prompt.fact.subject,
        answer=prompt.fact.answer,
        target=prompt.fact.target,
        format=prompt.format,
        rotation=prompt.rotation,
        group=group,
        log_probability=options[prompt.answer],
        probability=share[prompt.answer],
        target_log_probability=None if target is None else options[target],
        target_probability=None if target is None else share[target],
        option_mass=torch.tensor(mass).exp().item(),
        rank=int((row > row[tokens[prompt.answer]]).sum()),
        said=said.strip(),
        correct=said == prompt.answer,
        edited=said == target,
    )
