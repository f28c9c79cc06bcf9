"""General text: what keeps an edit from damaging the rest, and what measures the damage.

Without the Pile, the model's own samples stand for text that it finds likely; the loss on them holds
the model where it was. Damage is measured on other samples and on prose that no
model wrote (``mechlib/facts/prose.txt``, written for this project).
"""

from __future__ import annotations

from pathlib import Path

import torch

from mechlib.models.language_model import LanguageModel

PROSE = Path(__file__).parents[1] / "facts" / "prose.txt"


@torch.no_grad()
def sample(model: LanguageModel, count: int, length: int, seed: int, temperature: float = 1.0) -> list[list[int]]:
    """``count`` texts of ``length`` tokens after the beginning-of-sequence token, seeded."""
    start = torch.full((count, 1), model.tokenizer.bos_token_id, device=model.device)
    with torch.random.fork_rng(devices=range(torch.accelerator.device_count())):
        torch.manual_seed(seed)
        tokens = model.network.generate(
            start, attention_mask=torch.ones_like(start), do_sample=True, temperature=temperature, top_k=0, top_p=1.0,
            min_new_tokens=length, max_new_tokens=length, pad_token_id=model.tokenizer.bos_token_id,
        )  # fmt: skip
    return tokens.tolist()


def prose(model: LanguageModel, count: int, length: int) -> list[list[int]]:
    """The first ``length`` tokens (after the beginning token) of ``count`` paragraphs of prose."""
    paragraphs = PROSE.read_text(encoding="utf-8").split("\n\n")[:count]
    return [model.tokenizer(paragraph).input_ids[: length + 1] for paragraph in paragraphs]
