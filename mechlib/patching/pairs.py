"""Clean and corrupted runs of the same prompts, as residual streams entering the first layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.facts import Prompt
from mechlib.models.forward import Entry, enter, hidden_at, option_logits
from mechlib.models.language_model import LanguageModel
from mechlib.models.packed import Packed, pack
from mechlib.models.tokens import encode, subject_positions

Corruption = Literal["noise", "tokens"]
Position = Literal["subject first", "subject middle", "subject last", "after subject", "prompt end"]
POSITIONS: tuple[Position, ...] = ("subject first", "subject middle", "subject last", "after subject", "prompt end")


@dataclass(frozen=True)
class Pair:
    """The same texts in a clean and a corrupted run, differing only in the subject's embeddings.

    From the first subject on, no two texts share a node. ``options`` are token ids, the true answer
    first. ``classes`` gives each node's index into ``POSITIONS``; it is -1 before the subject and for
    padding. ``corrupt(n)`` is the n-th corrupted run; ``corrupted`` is the first.
    """

    packed: Packed
    clean: Entry
    corrupted: Entry
    options: Int[Tensor, "text option"]
    classes: Int[Tensor, "row node"]
    corrupt: Callable[[int], Entry]

    def logit_difference(
        self, model: LanguageModel, entry: Entry, hooks: AbstractContextManager[Any] | None = None
    ) -> Float[Tensor, " text"]:
        """Logit of the true answer minus the mean logit of the other options, of each text in the run that starts at ``entry``."""
        logits = option_logits(model, hidden_at(model, self.packed, self.packed.ends, entry, hooks), self.options)
        return logits[:, 0] - logits[:, 1:].mean(1)

    def repeated(self, times: int) -> Pair:
        """All texts ``times`` times, one copy after the other, to patch something else in each."""

        def corrupt(number: int) -> Entry:
            return self.corrupt(number).repeated(times)

        options, classes = self.options.repeat(times, 1), self.classes.repeat(times, 1)
        return Pair(self.packed.repeated(times), self.clean.repeated(times), self.corrupted.repeated(times), options, classes, corrupt)

    def by_class(self, values: Float[Tensor, "row node score"]) -> Float[Tensor, "score text position"]:
        """Sums of ``values`` over each text's nodes of each class."""
        # Texts side by side: they have one node at least, and differ in length.
        longest = max(len(path) for path in self.packed.paths)
        nodes = torch.stack([torch.cat([path, path[-1:].expand(longest - len(path))]) for path in self.packed.paths])
        real = torch.arange(longest, device=nodes.device) < torch.tensor([[len(path)] for path in self.packed.paths], device=nodes.device)
        classes, own = self.classes.flatten()[nodes].masked_fill(~real, -1), values.flatten(0, 1)[nodes]
        return torch.stack([(own * (classes == index)[..., None]).sum(1).T for index in range(len(POSITIONS))], 2)


def make_pair(model: LanguageModel, prompts: Sequence[Prompt], corruption: Corruption, seed: int, noise: float = 3.0) -> Pair:
    """Corrupt the subject, where the wording puts it last.

    ``noise``: Gaussian noise on its embeddings, ``noise`` times the standard deviation of the
    embeddings of these prompts (causal tracing, Meng et al. 2022; the paper's factor is 3).
    ``tokens``: random ordinary tokens in its place (the paper's attribution patching). Raises :class:`FactError`
    for facts without a second answer to compare with, or with different numbers of them.
    """
    sequences = encode(model, [prompt.text for prompt in prompts])
    spans = [subject_positions(model, prompt) for prompt in prompts]
    most = min(first for first, _ in spans)
    packed = pack(model, sequences, share_at_most=most)
    shared = _common(sequences, most)
    clean, table = enter(model, packed, 0), _table(packed, shared)
    real = table >= 0
    after = torch.arange(shared, shared + table.shape[1], device=model.device)
    first, last = torch.tensor(spans, device=model.device).T[:, :, None]
    inside = (after >= first) & (after <= last)
    changed, scale = table[inside], clean.at(table[real]).std()
    ordinary = torch.tensor(_ordinary_tokens(model)) if corruption == "tokens" else torch.empty(0)

    def corrupt(number: int) -> Entry:
        # Draws of one batch lie far apart, so that those of two batches (seed, seed + 16, ...) never meet.
        generator = torch.Generator().manual_seed(seed + 1_000_003 * number)
        if corruption == "noise":
            drawn = torch.randn((*table.shape, clean.stream.shape[-1]), generator=generator).to(clean.stream)[inside]
            noised = clean.stream.flatten(0, 1).index_add(0, changed, drawn * (noise * scale))
            return Entry(0, noised.view_as(clean.stream))
        drawn = ordinary[torch.randint(len(ordinary), table.shape, generator=generator)].to(model.device)
        tokens = packed.tokens.flatten().index_put((changed,), drawn[inside])
        return enter(model, replace(packed, tokens=tokens.view_as(packed.tokens)), 0)

    options = torch.tensor(chosen, device=model.device)
    return Pair(packed, clean, corrupt(0), options, _classes(packed, spans), corrupt)


def _common(sequences: Sequence[Sequence[int]], most: int) -> int:
    """Length of the beginning that all texts share, at most ``most`` and shorter than every text."""
    limit = min(most, min(map(len, sequences)) - 1)
    return next((n for n in range(limit) if len({sequence[n] for sequence in sequences}) > 1), limit)


def _table(packed: Packed, shared: int) -> Int[Tensor, "text position"]:
    """Each text's nodes from position ``shared`` on; -1 behind its end. Draws have this shape."""
    table = torch.full((len(packed), max(map(len, packed.paths)) - shared), -1, device=packed.tokens.device)
    for row, path in zip(table, packed.paths, strict=True):
        row[: len(path) - shared] = path[shared:]
    return table


def _classes(packed: Packed, spans: Sequence[tuple[int, int]]) -> Int[Tensor, "row node"]:
    found = torch.full((packed.tokens.numel(),), -1, device=packed.tokens.device)
    for path, (first, last) in zip(packed.paths, spans, strict=True):
        at, end = torch.arange(len(path), device=path.device), len(path) - 1
        named = torch.full_like(path, -1)
        for index, where in enumerate((at == first, (at > first) & (at < last), at == last, (at > last) & (at < end), at == end)):
            named = named.masked_fill(where, index)
        found[path] = named
    return found.view_as(packed.tokens)


def _ordinary_tokens(model: LanguageModel, count: int = 2000) -> list[int]:
    """Tokens that are plain ASCII letters when decoded, from the front of the vocabulary."""
    chosen: list[int] = []
    for token in range(min(len(model.tokenizer), 50_000)):
        text = model.tokenizer.decode([token]).strip()
        if text.isascii() and text.isalpha():
            chosen.append(token)
        if len(chosen) == count:
            break
    return chosen
