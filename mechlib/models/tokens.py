"""From the words of a prompt to token ids and positions."""

from __future__ import annotations

from mechlib.facts import FactError, Prompt
from mechlib.models.language_model import LanguageModel
from mechlib.models.table import ModelError


def answer_tokens(model: LanguageModel, text: str) -> list[int]:
    """All tokens of an answer; raises :class:`FactError` if there are none."""
    tokens: list[int] = model.tokenizer(text, add_special_tokens=False).input_ids
    if not tokens:
        raise FactError(f"the answer '{text.strip()}' is 0 tokens for {model.name}: there is nothing to ask for")
    return tokens


def answer_token(model: LanguageModel, text: str, first: bool = False) -> int:
    """The single token that an answer is; raises :class:`FactError` if it is more than one.

    With ``first`` a longer answer stands for its first token, as in the paper's CounterFact tasks.
    """
    tokens = answer_tokens(model, text)
    if len(tokens) != 1 and not first:
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
    """Token positions of the first and the last token of the subject, at its last place in the wording.

    Raises :class:`FactError` if the text does not say where that is, and :class:`ModelError` if the tokenizer does not.
    """
    if not model.tokenizer.is_fast:
        raise ModelError(f"{model.name} has a slow tokenizer, which does not say where its tokens stand: convert it to a fast one")
    spans = model.tokenizer(prompt.text, return_offsets_mapping=True).offset_mapping
    inside = [n for n, (left, right) in enumerate(spans) if left < prompt.subject_end and right > prompt.subject_start]
    if not inside:
        raise FactError(f"{prompt.fact.subject} has no token for {model.name} in '{prompt.text}'")
    return inside[0], inside[-1]
