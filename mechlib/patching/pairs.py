"""Clean and corrupted runs of the same prompts, as residual streams entering the first layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mechlib import checks
from mechlib.facts import FactError, Prompt
from mechlib.models.forward import Entry, enter, hidden_at, option_logits
from mechlib.models.language_model import LanguageModel
from mechlib.models.packed import Packed, pack
from mechlib.models.tokens import encode, option_tokens, subject_positions
from mechlib.patching.draws import embedding_deviation, generator, ordinary_tokens

Corruption = Literal["noise", "tokens"]
Position = Literal["subject first", "subject middle", "subject last", "after subject", "prompt end"]
POSITIONS: tuple[Position, ...] = ("subject first", "subject middle", "subject last", "after subject", "prompt end")


@dataclass(frozen=True)
class Pair:
    """The same texts in a clean and a corrupted run, differing only in the subject's embeddings.

    From the first subject on, no two texts share a node. ``options`` are token ids, the true answer
    first; -1 where a text has fewer than another. ``classes`` gives each node's index into ``POSITIONS``; it is -1 before the
    subject and for padding. ``corrupt(n)`` is the n-th corrupted run. ``noise`` is the standard deviation
    of the noise in it, in units of what enters the first layer; ``None`` where other tokens corrupt.
    """

    packed: Packed
    clean: Entry
    options: Int[Tensor, "text option"]
    classes: Int[Tensor, "row node"]
    corrupt: Callable[[int], Entry]
    noise: float | None

    @cached_property
    def corrupted(self) -> Entry:
        """The first corrupted run."""
        return self.corrupt(0)

    @cached_property
    def _distinct_ends(self) -> Int[Tensor, " end"]:
        return self.packed.ends.unique()

    def logit_difference(
        self, model: LanguageModel, entry: Entry, hooks: AbstractContextManager[Any] | None = None
    ) -> Float[Tensor, " text"]:
        """Logit of the true answer minus the mean logit of the other options, of each text in the run that starts at ``entry``."""
        hidden = hidden_at(model, self.packed, self.packed.ends, entry, hooks, self._distinct_ends)
        logits, others = option_logits(model, hidden, self.options.clamp(min=0)), self.options[:, 1:] >= 0
        return logits[:, 0] - (logits[:, 1:] * others).sum(1) / others.sum(1)

    def repeated(self, times: int) -> Pair:
        """All texts ``times`` times, one copy after the other, to patch something else in each."""

        def corrupt(number: int) -> Entry:
            return self.corrupt(number).repeated(times)

        options, classes = self.options.repeat(times, 1), self.classes.repeat(times, 1)
        return Pair(self.packed.repeated(times), self.clean.repeated(times), options, classes, corrupt, self.noise)

    def by_class(self, values: Float[Tensor, "row node score"]) -> Float[Tensor, "score text position"]:
        """Sums of ``values`` over each text's nodes of each class."""
        # Texts side by side: they have one node at least, and differ in length.
        lengths, longest = self.packed.lengths, max(self.packed.lengths)
        ends = accumulate(lengths)
        places = [[end - length + min(at, length - 1) for at in range(longest)] for end, length in zip(ends, lengths, strict=True)]
        real = [[at < length for at in range(longest)] for length in lengths]
        nodes = self.packed.nodes[torch.tensor(places, device=values.device)]
        classes = self.classes.flatten()[nodes].masked_fill(~torch.tensor(real, device=values.device), -1)
        own = values.flatten(0, 1)[nodes]
        return torch.stack([(own * (classes == index)[..., None]).sum(1).T for index in range(len(POSITIONS))], 2)


def check_prompts(prompts: Sequence[Prompt]) -> None:
    """Raises :class:`FactError` if there is no prompt, or one whose answer has no other to compare with."""
    if not checks.kinds("prompts", prompts, Prompt):
        raise FactError("there are no facts to ask about: give at least one prompt")
    for prompt in prompts:
        if len({prompt.answer, *prompt.options}) < 2:
            raise FactError(f"{prompt.fact.subject}: there is no other answer to compare with; give the fact an edit target or options")


def make_pair(model: LanguageModel, prompts: Sequence[Prompt], corruption: Corruption, seed: int, noise: float = 3.0) -> Pair:
    """Corrupt the subject, where the wording puts it last. Each prompt has draws of its own (:func:`mechlib.patching.draws.generator`).

    ``noise``: Gaussian noise on its embeddings, ``noise`` times the model's own scale
    (:func:`mechlib.patching.draws.embedding_deviation`; causal tracing, Meng et al. 2022; the paper's factor is 3 too).
    ``tokens``: random ordinary tokens in its place (the paper's attribution patching).
    Raises :class:`FactError` as :func:`check_prompts` does and if options begin with the same token,
    :class:`mechlib.models.ModelError` if the vocabulary has no ordinary tokens, and
    :class:`mechlib.checks.ParameterError` for another corruption.
    """
    check_prompts(prompts)
    checks.choice("corruption", corruption, get_args(Corruption))
    spans = [subject_positions(model, prompt) for prompt in prompts]
    packed = pack(model, encode(model, [prompt.text for prompt in prompts]), share_at_most=min(first for first, _ in spans))
    clean = enter(model, packed, 0)
    subjects = [path[first : last + 1] for path, (first, last) in zip(packed.paths, spans, strict=True)]
    changed, width = torch.cat(subjects), clean.stream.shape[-1]
    deviation = noise * embedding_deviation(model) if corruption == "noise" else None

    def noised(number: int, deviation: float) -> Entry:
        drawn = [torch.randn(len(nodes), width, generator=generator(seed, prompt, number))
                 for prompt, nodes in zip(prompts, subjects, strict=True)]  # fmt: skip
        stream = clean.stream.flatten(0, 1).index_add(0, changed, (deviation * torch.cat(drawn)).to(clean.stream))
        return Entry(0, stream.view_as(clean.stream))

    def replaced(number: int) -> Entry:
        ordinary = ordinary_tokens(model)
        drawn = [ordinary[torch.randint(len(ordinary), (len(nodes),), generator=generator(seed, prompt, number))]
                 for prompt, nodes in zip(prompts, subjects, strict=True)]  # fmt: skip
        tokens = packed.tokens.flatten().index_put((changed,), torch.cat(drawn).to(model.device))
        return enter(model, replace(packed, tokens=tokens.view_as(packed.tokens)), 0)

    def corrupt(number: int) -> Entry:
        return replaced(number) if deviation is None else noised(number, deviation)

    options = [torch.tensor(option_tokens(model, prompt)) for prompt in prompts]
    padded = pad_sequence(options, batch_first=True, padding_value=-1).to(model.device)
    return Pair(packed, clean, padded, _classes(packed, spans), corrupt, deviation)


def _classes(packed: Packed, spans: Sequence[tuple[int, int]]) -> Int[Tensor, "row node"]:
    named = [_class_at(at, *span, end=length - 1) for length, span in zip(packed.lengths, spans, strict=True) for at in range(length)]
    found = torch.full((packed.tokens.numel(),), -1, device=packed.tokens.device)
    # What texts share lies before every subject: they name it alike.
    found[packed.nodes] = torch.tensor(named, device=packed.tokens.device)
    return found.view_as(packed.tokens)


def _class_at(at: int, first: int, last: int, *, end: int) -> int:
    """Index into ``POSITIONS`` of one position of a text whose subject is at ``first`` to ``last``; -1 before it."""
    # In this order: a later name replaces an earlier one where a subject has one token, or ends the text.
    names = (at == first, first < at < last, at == last, last < at < end, at == end)
    return max((index for index, named in enumerate(names) if named), default=-1)
