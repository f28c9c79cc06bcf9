"""The same question to several models: what each goes on with, and its likeliest next tokens."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import torch

from mechlib import checks
from mechlib.models import LanguageModel
from mechlib.models.forward import answer_logits
from mechlib.models.packed import pack
from mechlib.models.tokens import encode
from mechlib.report import numerals


@torch.no_grad()
def ask(models: Mapping[str, LanguageModel], question: str, length: int = 12, candidates: int = 3) -> pd.DataFrame:
    """One row a model: its name, the ``length`` likeliest tokens that go on from the question, and the first one's rivals.

    Each token is the likeliest after those before it, so the same question has the same answer. Probabilities are among all tokens.
    Raises :class:`mechlib.checks.ParameterError` for a blank question, and for a length or a number of candidates below 1.
    """
    checks.text("question", question)
    checks.whole("length", length, 1, 1_000)
    checks.whole("candidates", candidates, 1, 100)
    rows = [{"model": name, **_answer(model, question, length, candidates)} for name, model in models.items()]
    return pd.DataFrame(rows, columns=["model", "goes on with", "next token"])


def _answer(model: LanguageModel, question: str, length: int, candidates: int) -> dict[str, str]:
    (tokens,) = encode(model, [question])
    said: list[int] = []
    likeliest = ""
    for _ in range(length):
        logits = answer_logits(model, pack(model, [[*tokens, *said]]))[0]
        if not said:
            likeliest = _listed(model, logits, candidates)
        following = int(logits.argmax())
        if following == model.tokenizer.eos_token_id:
            break
        said.append(following)
    return {"goes on with": model.tokenizer.decode(said), "next token": likeliest}


def _listed(model: LanguageModel, logits: torch.Tensor, count: int) -> str:
    chances = logits.softmax(-1).topk(min(count, len(logits)))
    words = [model.tokenizer.decode([token]) for token in chances.indices.tolist()]
    shares = map(numerals.decimal, chances.values.tolist())
    return ", ".join(f"{word.strip() or repr(word)} {share}" for word, share in zip(words, shares, strict=True))
