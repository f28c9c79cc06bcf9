"""Random draws that are a prompt's own: the same alone, in any batch, in any order and on every machine."""

from __future__ import annotations

import hashlib
import json

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.facts import Prompt
from mechlib.models import ModelError
from mechlib.models.language_model import LanguageModel


def generator(seed: int, prompt: Prompt, number: int) -> torch.Generator:
    """A generator for the ``number``-th draw about a prompt, on the processor.

    It starts from the run's seed, the prompt's text and subject, and ``number``, and from nothing else. Its numbers are those of
    every machine; normal ones to rounding, for they go through a logarithm.
    """
    told = json.dumps([seed, prompt.text, prompt.fact.subject, number])
    return torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(told.encode()).digest()[:4]))


def ordinary_tokens(model: LanguageModel, count: int = 2000) -> Int[Tensor, " token"]:
    """The first tokens of the vocabulary that are plain ASCII letters when decoded, on the processor.

    Raises :class:`ModelError` if there are none.
    """
    chosen: list[int] = []
    for token in range(min(len(model.tokenizer), 50_000)):
        text = model.tokenizer.decode([token]).strip()
        if text.isascii() and text.isalpha():
            chosen.append(token)
        if len(chosen) == count:
            break
    if not chosen:
        raise ModelError(f"{model.name} has no token of plain letters to put in a subject's place: localize with probes or give a file")
    return torch.tensor(chosen)


@torch.no_grad()
def embedding_deviation(model: LanguageModel) -> float:
    """Standard deviation of all entries of the :func:`ordinary_tokens`' embeddings, in units of what enters the first layer.

    Learned positions are no part of it (nor in Meng et al. 2022). It is the model's, whatever is asked. They take the subjects of
    their data set; for Gemma-3-270M all ordinary tokens, the whole vocabulary and this library's subjects have the same, to 1 in 10,000.
    """
    tokens = ordinary_tokens(model).to(model.device)
    embedded: Float[Tensor, "token d_model"] = model.network.get_input_embeddings()(tokens)
    return embedded.float().std().item()
