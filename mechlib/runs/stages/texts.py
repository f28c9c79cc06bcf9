"""General text: sampled from the unedited model, or from a corpus where one is named."""

from __future__ import annotations

from dataclasses import dataclass

from mechlib.edit.corpus import corpus
from mechlib.edit.general_text import sample
from mechlib.runs.spec import Stage
from mechlib.runs.work import Result, Work


@dataclass(frozen=True)
class Corpus:
    """A file or hub data set, the hash of its content (or its name), and how many fitting documents are left to others."""

    source: str
    data: str
    skip: int


@dataclass(frozen=True)
class TextSettings:
    """``count`` texts of ``length`` tokens after the beginning token: from ``corpus``, or samples drawn by ``seed``."""

    model: str
    dtype: str
    count: int
    length: int
    seed: int | None = None
    corpus: Corpus | None = None


def texts(work: Work[TextSettings]) -> Result:
    """Rows of tokens and their text."""
    settings, model = work.settings, work.model
    if settings.corpus:
        found = corpus(model, settings.corpus.source, settings.count, settings.length, settings.corpus.skip)
    else:
        found = sample(model, settings.count, settings.length, settings.seed or 0)
    return Result([{"tokens": tokens, "text": model.tokenizer.decode(tokens, skip_special_tokens=True)} for tokens in found])


TEXTS = Stage("texts", 1, texts, 6.0)
