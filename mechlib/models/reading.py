"""Read a tokenizer that fits its model: it has a vocabulary, joins letters to words, and every token has an embedding."""

from __future__ import annotations

from itertools import islice
from typing import Any

from mechlib.models.table import ModelError

_TRIED = 50  # words of a vocabulary, of which a whole tokenizer reads at least one


def read_tokenizer(location: str, embeddings: int, **options: Any) -> Any:
    """The tokenizer of a folder or hub id, for a network with so many embeddings.

    Raises :class:`ModelError` for one that the library cannot work with, or that lost its files: transformers makes
    an empty one up. Embeddings without a token are no fault, nor special tokens (of images) without an embedding.
    """
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(location, **options)
    if not tokenizer.is_fast:
        raise ModelError(f"{location}: a slow tokenizer does not say where its tokens are: save a fast one (tokenizer.json)")
    special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    ordinary = {text: number for text, number in tokenizer.get_vocab().items() if number not in special}
    if not ordinary:
        raise ModelError(f"{location}: the tokenizer has no vocabulary: its files (tokenizer.json) are missing")
    if max(ordinary.values()) >= embeddings:
        found = f"the tokenizer has tokens up to {max(ordinary.values())} and the model {embeddings} embeddings"
        raise ModelError(f"{location}: {found}: they do not belong together")
    words = list(islice((text for text in ordinary if len(text) > 3 and text.isascii() and text.isalpha()), _TRIED))
    if words and not any(ordinary[word] in tokenizer(f"\n{word}", add_special_tokens=False).input_ids for word in words):
        raise ModelError(f"{location}: the tokenizer reads none of its own words ('{words[0]}'): its merges are missing")
    return tokenizer
