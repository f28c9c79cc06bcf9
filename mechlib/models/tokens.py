"""From the words of a prompt to token ids and positions."""

from __future__ import annotations

from collections.abc import Sequence

from mechlib import checks
from mechlib.facts import FactError, Prompt
from mechlib.models.language_model import LanguageModel
from mechlib.models.table import ModelError


def beginning(model: LanguageModel) -> list[int]:
    """The tokens that every text begins with: those that the tokenizer puts before a text, often the beginning token or none."""
    whole, plain = model.tokenizer(["A"]).input_ids[0], _plain(model, "A")
    return whole[: next((n for n in range(len(whole)) if whole[n : n + len(plain)] == plain), 0)]


def encode(model: LanguageModel, texts: Sequence[str], at_most: int | None = None) -> list[list[int]]:
    """Tokens of texts that a model is to go on from: :func:`beginning`, then their own, and no end token even if the tokenizer adds one.

    ``at_most``: so many tokens of each, the beginning with them. Raises :class:`FactError` for a text without any token, and
    :class:`mechlib.checks.ParameterError` for one text in the place of several.
    """
    checks.kinds("texts", texts, str)
    start = beginning(model)
    cut = {} if at_most is None else {"truncation": True, "max_length": max(1, at_most - len(start))}
    found = [[*start, *own][:at_most] for own in model.tokenizer(list(texts), add_special_tokens=False, **cut).input_ids] if texts else []
    if empty := [text for text, tokens in zip(texts, found, strict=True) if not tokens]:
        raise FactError(f"{model.name} reads no token in the text {empty[0]!r}: give it words")
    return found


def check_texts(texts: Sequence[Sequence[int]]) -> None:
    """Raises :class:`FactError` for a text (token ids) in which no token follows another: there is nothing to predict."""
    if short := [text for text in texts if len(text) < 2]:
        raise FactError(f"a text has {len(short[0])} tokens, so none follows another: give texts of at least 2")


def answer_tokens(model: LanguageModel, text: str) -> list[int]:
    """All tokens of an answer that goes on from a prompt: some tokenizers read the first word of a text differently.

    Raises :class:`FactError` if there are none.
    """
    before = "A" if text.startswith(" ") else "\n"
    start, whole = _plain(model, before), _plain(model, before + text)
    tokens = whole[len(start) :] if whole[: len(start)] == start else _plain(model, text)
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


def trained_tokens(model: LanguageModel, prompt: Prompt, word: str) -> list[int]:
    """The tokens of an answer that training teaches: all where every token competes, the only one of a closed list's.

    Raises :class:`FactError` for a longer one of a closed list, and if there are none.
    """
    return answer_tokens(model, word) if prompt.open else [answer_token(model, word)]


def option_tokens(model: LanguageModel, prompt: Prompt) -> list[int]:
    """Tokens of the answers that compete, the true one first; raises :class:`FactError` if two are the same."""
    options = [prompt.answer, *(option for option in prompt.options if option != prompt.answer)]
    tokens = [answer_token(model, option, first=prompt.first) for option in options]
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
    """Positions, in :func:`encode`'s tokens, of the first and the last token of the subject, at its last place in the wording.

    Raises :class:`FactError` if the text does not say where that is, and :class:`ModelError` if the tokenizer does not.
    """
    if not model.tokenizer.is_fast:
        raise ModelError(f"{model.name} has a slow tokenizer, which does not say where its tokens stand: convert it to a fast one")
    spans = model.tokenizer(prompt.text, add_special_tokens=False, return_offsets_mapping=True).offset_mapping
    start = len(beginning(model))
    inside = [n for n, (left, right) in enumerate(spans, start) if left < prompt.subject_end and right > prompt.subject_start]
    if not inside:
        raise FactError(f"{prompt.fact.subject} has no token for {model.name} in '{prompt.text}'")
    return inside[0], inside[-1]


def _plain(model: LanguageModel, text: str) -> list[int]:
    return model.tokenizer([text], add_special_tokens=False).input_ids[0]
