"""Check a converted tokenizer against the vocabulary of its GGUF file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers.pre_tokenizers import ByteLevel

from mechlib.models.table import ModelError

_SPACE = {"llama": "\u2581", "gpt2": "\u0120"}  # how a kind of vocabulary spells the space before a word
_WORDS = (" football", " basketball", " baseball", " the", "Fact")


def check_vocabulary(source: Path, tokenizer: Any) -> None:
    """Raise :class:`ModelError`, naming the first difference, unless the tokenizer reads as the file says.

    Every id is to stand for the same string, and ordinary words that are one token in the file are
    to be encoded as that token: a tokenizer without its merges has the right strings and splits all words.
    """
    from gguf import GGUFReader

    fields = GGUFReader(source).fields
    tokens: list[str] = fields["tokenizer.ggml.tokens"].contents()
    space = _SPACE.get(str(fields["tokenizer.ggml.model"].contents()), " ")
    read: list[str | None] = tokenizer.convert_ids_to_tokens(list(range(len(tokens))))
    for number, (own, other) in enumerate(zip(tokens, read, strict=True)):
        if own != other and not _respelled(own, other or ""):
            raise _differs(source, f"token {number} is {own!r} in the file and {other!r} when converted")
    numbers = {token: number for number, token in enumerate(tokens)}
    for word in _WORDS:
        number = numbers.get(word.replace(" ", space))
        # After something else: some tokenizers put a space before the first word of a text.
        before = "A" if word.startswith(" ") else "\n"
        found = _encode(tokenizer, before + word)[len(_encode(tokenizer, before)) :]
        if number is not None and found != [number]:
            raise _differs(source, f"{word!r} is token {number} in the file and {found} when converted")


def _respelled(own: str, other: str) -> bool:
    """Runs of spaces stand as they are in some files; special tokens of a byte-level vocabulary are not spelled in bytes."""
    if own.replace("\u2581", " ") == other.replace("\u2581", " "):
        return True
    return other == "".join(part for part, _ in ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(own))


def _encode(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False).input_ids)


def _differs(source: Path, what: str) -> ModelError:
    from transformers import __version__

    return ModelError(f"{source.name}: transformers {__version__} converts the tokenizer wrongly ({what}): install another version")
