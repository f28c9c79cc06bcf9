"""General text: what keeps an edit from damaging the rest, and what measures the damage.

Without the Pile, the model's own samples stand for text that it finds likely; the loss on them holds
the model where it was. Damage is measured on other samples and on prose that no
model wrote (``mechlib/facts/prose.txt``, written for this project).
"""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import GenerationConfig

from mechlib import checks
from mechlib.models.language_model import LanguageModel
from mechlib.models.tokens import beginning, encode

PROSE = Path(__file__).parents[1] / "facts" / "prose.txt"


@torch.no_grad()
def sample(model: LanguageModel, count: int, length: int, seed: int, temperature: float = 1.0) -> list[list[int]]:
    """``count`` texts of ``length`` tokens after what all texts begin with, or of one more if they begin with nothing; seeded.

    The draws are made where the model is, all texts together. So one ``seed`` gives the same texts on the same kind of device,
    for the same ``count`` and ``length``; a GPU has another generator than a processor, and what it draws is as good as another
    seed's. That is meant: no study depends on which texts the model likes, and the texts are a run of their own, kept with its rows, from
    which every edit of the study starts wherever it is computed. The global generators are left as they were.

    Raises :class:`mechlib.checks.ParameterError` for a count, a length or a temperature that is not above 0.
    """
    checks.whole("count", count, least=1)
    checks.whole("length", length, least=1)
    checks.positive("temperature", temperature)
    start = beginning(model)
    first = torch.tensor([start or [_before_text(model)]] * count, device=model.device)
    new = length + (not start)
    plain = model.shared_copy().network
    # A model's own settings (penalties, lists of words) are for chatting.
    plain.generation_config = GenerationConfig(eos_token_id=plain.generation_config.eos_token_id)
    with torch.random.fork_rng(devices=range(torch.accelerator.device_count())):
        torch.manual_seed(seed)
        tokens = plain.generate(
            first, attention_mask=torch.ones_like(first), do_sample=True, temperature=temperature, top_k=0, top_p=1.0,
            min_new_tokens=new, max_new_tokens=new, pad_token_id=int(first[0, 0]),
        )  # fmt: skip
    return tokens[:, 0 if start else 1 :].tolist()


def _before_text(model: LanguageModel) -> int:
    """Where sampling starts if texts begin with their own words: the token that stood between documents in training."""
    tokenizer = model.tokenizer
    known = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    return next((token for token in known if token is not None), 0)


def prose(model: LanguageModel, count: int, length: int) -> list[list[int]]:
    """The first ``length`` tokens (after the beginning token) of ``count`` paragraphs of prose.

    Raises :class:`mechlib.checks.ParameterError` for more paragraphs than there are, or none, and no length.
    """
    paragraphs = PROSE.read_text(encoding="utf-8").split("\n\n")
    checks.whole("length", length, least=1)
    return encode(model, paragraphs[: checks.whole("count", count, least=1, most=len(paragraphs))], at_most=length + 1)
