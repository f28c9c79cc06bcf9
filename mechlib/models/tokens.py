"""From the words of a prompt to token ids and positions."""

from __future__ import annotations

from mechlib.facts import FactError, Prompt
from mechlib.models.language_model import LanguageModel


def answer_token(model: LanguageModel, text: str) -> int:
    """The single token that an answer is; raises :class:`FactError` if it is more than one."""
    tokens = model.tokenizer(text, add_special_tokens=False).input_ids
    if len(tokens) != 1:
        raise FactError(f"the answer '{text.strip()}' is {len(tokens)} tokens for {model.name}; an answer must be one token")
    return int(tokens[0])


def subject_positions(model: LanguageModel, prompt: Prompt) -> tuple[int, int]:
    """Token positions of the first and the last token of the subject's last mention."""
    spans = model.tokenizer(prompt.text, return_offsets_mapping=True).offset_mapping
    inside = [n for n, (left, right) in enumerate(spans) if left < prompt.subject_end and right > prompt.subject_start]
    return inside[0], inside[-1]
