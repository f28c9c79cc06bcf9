"""General text from elsewhere: the Pile, as in the paper, or any other corpus, where one can be reached."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from mechlib.edit.delta import EditError
from mechlib.models.language_model import LanguageModel
from mechlib.models.tokens import encode

# Documents to look at for each text that is wanted: many are too short.
_LOOKED_AT = 50


def corpus(model: LanguageModel, source: str, count: int, length: int, skip: int = 0) -> list[list[int]]:
    """The first ``length`` tokens (after the beginning token) of ``count`` documents that have so many, in the corpus' order.

    ``source``: a ``.txt`` file (paragraphs), a ``.jsonl`` file (``text``), or a hub data set
    (``owner/name``, read as a stream). ``skip``: so many fitting documents are passed over first.
    Raises :class:`EditError` if it cannot be read or has too few documents.
    """
    found: list[list[int]] = []
    for text in islice(_documents(source), _LOOKED_AT * (skip + count)):
        tokens = encode(model, [text], at_most=length + 1)[0] if text.strip() else []
        if len(tokens) == length + 1:
            found.append(tokens)
        if len(found) == skip + count:
            return found[skip:]
    raise EditError(f"TEXTS={source}: {len(found)} documents have {length} tokens, and {skip + count} are needed")


def fingerprint(source: str) -> str:
    """The hash of a file, or the name of a data set."""
    path = Path(source).expanduser()
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else source


def _documents(source: str) -> Iterator[str]:
    path = Path(source).expanduser()
    try:
        if path.suffix == ".txt":
            yield from path.read_text(encoding="utf-8").split("\n\n")
        else:
            yield from (str(row["text"]) for row in _rows(source, path))
    except Exception as error:  # a hub or a parser can fail in many ways; all mean the same to a reader
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EditError(f"TEXTS={source}: no .txt or .jsonl file and no hub data set with a column 'text': {reason}") from None


def _rows(source: str, path: Path) -> Iterable[Mapping[str, Any]]:
    import datasets

    load_dataset: Any = datasets.load_dataset
    if path.suffix == ".jsonl":
        return load_dataset("json", data_files=str(path), split="train", streaming=True)
    return load_dataset(source, split="train", streaming=True)
