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
    ``said`` is the option preferred. Where every token competes (an open relation), ``said`` is the
    likeliest of all tokens, and ``correct`` and ``edited`` compare with it.
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


@torch.no_grad()
def answer_prompts(model: LanguageModel, prompts: Sequence[Prompt], group: str = "", batch_size: int = 64) -> list[Answer]:
    """Answers to ``prompts``, in their order. The result does not depend on the batch size (to rounding)."""
    rows: dict[int, Answer] = {}
    # Prompts of one relation, format and rotation share their demonstrations: side by side, these are computed once.
    order = sorted(range(len(prompts)), key=lambda index: (_alike(prompts[index]), index))
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        logits = answer_logits(model, tokenize(model, [prompts[index].text for index in indices]))
        for index, row in zip(indices, logits.log_softmax(-1), strict=True):
            rows[index] = _answer(model, prompts[index], row, group)
    return [rows[index] for index in range(len(prompts))]


def _alike(prompt: Prompt) -> tuple[str, str, int]:
    return prompt.fact.relation, prompt.format, prompt.rotation


def _answer(model: LanguageModel, prompt: Prompt, row: torch.Tensor, group: str) -> Answer:
    tokens = {option: answer_token(model, option, first=prompt.open) for option in prompt.options}
    options = {option: float(row[token]) for option, token in tokens.items()}
    mass = torch.tensor(list(options.values())).logsumexp(0).item()
    share = {option: torch.tensor(value - mass).exp().item() for option, value in options.items()}
    target, top = prompt.target, int(row.argmax())
    said = model.tokenizer.decode([top]) if prompt.open else max(options, key=lambda option: options[option])
    picked = top if prompt.open else tokens[said]
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
        rank=int((row > row[tokens[prompt.answer]]).sum()),
        said=said.strip(),
        correct=picked == tokens[prompt.answer],
        edited=target is not None and picked == tokens[target],
    )
