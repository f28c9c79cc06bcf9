"""From the words of a prompt to token ids and positions."""

from __future__ import annotations

from mechlib.facts import FactError, Prompt
from mechlib.models.language_model import LanguageModel


def answer_token(model: LanguageModel, text: str, first: bool = False) -> int:
    """The single token that an answer is; raises :class:`FactError` if it is more than one.

    With ``first`` a longer answer stands for its first token, as in the paper's CounterFact tasks.
    """
    tokens = model.tokenizer(text, add_special_tokens=False).input_ids
    if len(tokens) != 1 and not (first and tokens):
        raise FactError(f"the answer '{text.strip()}' is {len(tokens)} tokens for {model.name}; an answer must be one token")
    return int(tokens[0])


def option_tokens(model: LanguageModel, prompt: Prompt) -> list[int]:
    """Tokens of the answers that compete, the true one first; raises :class:`FactError` if two are the same."""
    options = [prompt.answer, *(option for option in prompt.options if option != prompt.answer)]
    tokens = [answer_token(model, option, first=prompt.open) for option in options]
    if len(set(tokens)) < len(tokens):
        raise FactError(f"{prompt.fact.subject}: {model.name} cannot tell {' and'.join(options)} apart by their first token")
    return tokens


def distinct(model: LanguageModel, prompt: Prompt) -> bool:
    """Whether the model's tokens tell the competing answers apart."""
    try:
        option_tokens(model, prompt)
    except FactError:
        return False
    return True


def subject_positions(model: LanguageModel, prompt: Prompt) -> tuple[int, int]:
    """Token positions of the first and the last token of the subject's last mention."""
    spans = model.tokenizer(prompt.text, return_offsets_mapping=True).offset_mapping
    inside = [n for n, (left, right) in enumerate(spans) if left < prompt.subject_end and right > prompt.subject_start]
    return inside[0], inside[-1]
