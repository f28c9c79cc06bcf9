"""General text: what keeps an edit from damaging the rest, and what measures the damage.

Without the Pile, the model's own samples stand for text that it finds likely; the loss on them holds
the model where it was. Damage is measured on other samples and on prose that no
model wrote (``mechlib/facts/prose.txt``, written for this project).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from mechlib import checks
from mechlib.models.language_model import LanguageModel
from mechlib.models.packed import check_length
from mechlib.models.tokens import beginning, encode

PROSE = Path(__file__).parents[1] / "facts" / "prose.txt"


@torch.no_grad()
def sample(model: LanguageModel, count: int, length: int, seed: int, temperature: float = 1.0) -> list[list[int]]:
    """``count`` texts of ``length`` tokens after what all texts begin with, or of one more if they begin with nothing; seeded.

    The draws are made on the processor, all texts together, so one ``seed`` gives the same texts on every device, for the same
    ``count`` and ``length``; only where rounding moves a probability across what is drawn do texts part. No global generator is used.

    Raises :class:`mechlib.checks.ParameterError` for a count, a length or a temperature that is not above 0, and
    :class:`mechlib.models.ModelError` for a length that the model has no positions for.
    """
    from transformers import GenerationConfig  # whoever only counts runs, or reads them, would wait for it

    checks.whole("count", count, least=1)
    checks.whole("length", length, least=1)
    checks.positive("temperature", temperature)
    start = beginning(model)
    first = torch.tensor([start or [_before_text(model)]] * count, device=model.device)
    new = length + (not start)
    check_length(model, first.shape[1] + new)
    plain = model.shared_copy().network
    # A model's own settings (penalties, lists of words) are for chatting.
    plain.generation_config = GenerationConfig(eos_token_id=plain.generation_config.eos_token_id)
    tokens = plain.generate(
        first, attention_mask=torch.ones_like(first), do_sample=False, min_new_tokens=new, max_new_tokens=new,
        pad_token_id=int(first[0, 0]), logits_processor=[_Drawn(torch.Generator().manual_seed(seed), temperature)],
    )  # fmt: skip
    return tokens[:, 0 if start else 1 :].tolist()


class _Drawn:
    """Transformers' processor of logits that leaves one token, drawn here: ``generate`` draws with the generator of the model's device."""

    def __init__(self, generator: torch.Generator, temperature: float) -> None:
        self.generator, self.temperature = generator, temperature

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        del input_ids
        shares = torch.softmax(scores.cpu() / self.temperature, -1)
        drawn = torch.multinomial(shares, 1, generator=self.generator).to(scores.device)
        return torch.full_like(scores, -torch.inf).scatter(1, drawn, 0.0)


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
