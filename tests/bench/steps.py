"""A step of an edit, and one of a loop without this library: all logits of all tokens, gradients of the weights that train."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from mechlib.components import Localization
from mechlib.edit.train import EditConfig, edit
from mechlib.facts import Prompt
from mechlib.models import LanguageModel


@dataclass(frozen=True)
class Trained:
    """What an edit trains where, and on what. ``texts``: token ids, two a step."""

    model: LanguageModel
    found: Localization
    forget: list[Prompt]
    retain: list[Prompt]
    texts: list[list[int]]

    def seconds(self, settings: EditConfig) -> list[float]:
        """Of each step but the first, before which the batches are made."""
        stamps: list[float] = []
        # A step asks the device for its losses: when it has them, it is done.
        self._edit(settings, stamps)
        return [after - before for before, after in pairwise(stamps)]

    def operations(self, settings: EditConfig) -> int:
        """Multiplications and additions of a step: those of two without those of one."""
        counted: list[int] = []
        for steps in (1, 2):
            with FlopCounterMode(display=False) as counter:
                self._edit(replace(settings, steps=steps), [])
            counted.append(counter.get_total_flops())
        return counted[1] - counted[0]

    def plain(self, weights: Sequence[nn.Parameter], at_once: int | None = None) -> None:
        """The gradients of such a step for these weights, so many prompts at a time."""
        network, trained = self.model.network, {id(weight) for weight in weights}
        for weight in network.parameters():
            weight.requires_grad_(id(weight) in trained)
        lines = [prompt.text for prompt in (*self.forget, *self.retain)]
        asked = self.model.tokenizer(lines, return_tensors="pt", padding=True, padding_side="right").to(self.model.device)
        ends, size = asked.attention_mask.sum(1) - 1, at_once or len(lines)
        for start in range(0, len(lines), size):
            own, last = slice(start, start + size), ends[start : start + size]
            logits = network(asked.input_ids[own], attention_mask=asked.attention_mask[own], use_cache=False).logits
            cross_entropy(logits[torch.arange(len(last), device=last.device), last].float(), torch.ones_like(last)).backward()
        general = torch.tensor(self.texts[:2], device=self.model.device)
        logits = network(general, use_cache=False).logits
        cross_entropy(logits[:, :-1].flatten(0, 1).float(), general[:, 1:].flatten()).backward()
        for weight in network.parameters():
            weight.grad = None
        network.requires_grad_(False)

    def _edit(self, settings: EditConfig, stamps: list[float]) -> None:
        edit(self.model, self.found, self.forget, self.retain, self.texts, settings, lambda *_: stamps.append(time.perf_counter()))
