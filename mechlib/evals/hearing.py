"""What a model makes of prompts: read at the first token of each answer, or over whole answers.

Whole answers of one prompt are branches of one tree (:mod:`mechlib.models.packed`): the prompt is
computed once, and the tree tells at the same time what the model says by itself, as far as it says an answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from mechlib.facts import FactError, Prompt
from mechlib.models.forward import answer_logits, hidden_at, tokenize, unembed
from mechlib.models.language_model import LanguageModel
from mechlib.models.packed import pack
from mechlib.models.tokens import answer_token, answer_tokens, encode

# Logits over the vocabulary that are held at once.
_ROWS = 64
Tokens = tuple[int, ...]
# A number of a prompt and what follows it.
Place = tuple[int, Tokens]


@dataclass(frozen=True)
class Heard:
    """One prompt. ``options``: log-probability (nats) of each answer; ``first``: of its first token, whose ``rank`` is the true answer's.

    ``said`` is what the model says, ``picked`` the answers that this is.
    """

    options: Mapping[str, float]
    first: Mapping[str, float]
    rank: int
    said: str
    picked: frozenset[str]


@torch.no_grad()
def first_tokens(model: LanguageModel, prompts: Sequence[Prompt]) -> list[Heard]:
    """Answers by their first token; raises :class:`FactError` for a longer one in a closed list, unless it is translated."""
    logits = answer_logits(model, tokenize(model, [prompt.text for prompt in prompts])).log_softmax(-1)
    return [_first(model, prompt, row) for prompt, row in zip(prompts, logits, strict=True)]


def _first(model: LanguageModel, prompt: Prompt, row: torch.Tensor) -> Heard:
    tokens = {option: answer_token(model, option, first=prompt.first) for option in prompt.options}
    options = {option: float(row[token]) for option, token in tokens.items()}
    top = int(row.argmax()) if prompt.open else tokens[max(options, key=lambda option: options[option])]
    picked = frozenset(option for option, token in tokens.items() if token == top)
    said = model.tokenizer.decode([top]) if prompt.open else max(options, key=lambda option: options[option])
    return Heard(options, options, int((row > row[tokens[prompt.answer]]).sum()), said.strip(), picked)


@torch.no_grad()
def whole_answers(model: LanguageModel, prompts: Sequence[Prompt]) -> list[Heard]:
    """Answers by all of their tokens.

    Where every token competes, the model says what is likeliest token by token (greedily): the longest
    answer that this begins with, unless the word goes on, else as many tokens as the longest answer
    has. In a closed list it says the likeliest. Raises :class:`FactError` if two answers are the same tokens.
    """
    options = [_tokens(model, prompt) for prompt in prompts]
    tree = _Tree(model, prompts, options)
    walks = [tree.walk(number) if prompt.open else () for number, prompt in enumerate(prompts)]
    # Behind an answer that was said whole one more token tells whether the word goes on.
    over = [(number, walk) for number, walk in enumerate(walks) if walk in options[number].values()]
    tree.read(over)
    for number, walk in over:
        walks[number] = (*walk, tree.best[number, walk])
    picked = [tree.picked(number, walk) for number, walk in enumerate(walks)]
    open_ended = [number for number, prompt in enumerate(prompts) if prompt.open and picked[number] is None]
    free = _continued(model, tree.starts, {number: (walks[number], max(map(len, options[number].values()))) for number in open_ended})
    return [
        Heard(
            {option: tree.chance(number, tokens) for option, tokens in own.items()},
            {option: tree.chances[number, (), tokens[0]] for option, tokens in own.items()},
            tree.ranks[number],
            (model.tokenizer.decode(list(free[number])) if (said := picked[number]) is None else said).strip(),
            frozenset([said] if said is not None else ()),
        )
        for number, own in enumerate(options)
    ]


def _tokens(model: LanguageModel, prompt: Prompt) -> dict[str, Tokens]:
    tokens = {option: tuple(answer_tokens(model, option)) for option in prompt.options}
    if len(set(tokens.values())) < len(tokens):
        raise FactError(f"{prompt.fact.subject}: {model.name} cannot tell {' and'.join(tokens)} apart: they are the same tokens")
    return tokens


class _Tree:
    """Prompts with their answers behind them, computed once; what follows a place in it is read when asked."""

    def __init__(self, model: LanguageModel, prompts: Sequence[Prompt], options: Sequence[Mapping[str, Tokens]]) -> None:
        self.model, self.prompts, self.options = model, prompts, options
        self.starts: list[list[int]] = encode(model, [prompt.text for prompt in prompts])
        branches = [(number, tokens) for number, own in enumerate(options) for tokens in own.values()]
        # In a closed list nothing is read behind an answer's last token.
        kept = [tokens if prompts[number].open else tokens[:-1] for number, tokens in branches]
        packed = pack(model, [[*self.starts[number], *tokens] for (number, _), tokens in zip(branches, kept, strict=True)])
        nodes: dict[Place, torch.Tensor] = {}
        for (number, _), tokens, path in zip(branches, kept, packed.paths, strict=True):
            for length in range(len(tokens) + 1):
                nodes.setdefault((number, tokens[:length]), path[len(self.starts[number]) - 1 + length])
        self._at = {place: row for row, place in enumerate(nodes)}
        self._hidden = hidden_at(model, packed, torch.stack(list(nodes.values())))
        self.best: dict[Place, int] = {}
        self.ranks: dict[int, int] = {}
        self.chances: dict[tuple[int, Tokens, int], float] = {}
        self._wanted: dict[Place, set[int]] = {}
        for number, tokens in branches:
            for length, token in enumerate(tokens):
                self._wanted.setdefault((number, tokens[:length]), set()).add(token)
        self.read(self._wanted)

    def read(self, places: Iterable[Place]) -> None:
        """The likeliest token behind each place, and the log-probabilities of those that answers go on with."""
        new = [place for place in places if place not in self.best]
        for start in range(0, len(new), _ROWS):
            some = new[start : start + _ROWS]
            logits = unembed(self.model, self._hidden[[self._at[place] for place in some]]).log_softmax(-1)
            for (number, prefix), row, best in zip(some, logits, logits.argmax(-1).tolist(), strict=True):
                self.best[number, prefix] = best
                for token in self._wanted.get((number, prefix), ()):
                    self.chances[number, prefix, token] = float(row[token])
                if not prefix:
                    true = self.options[number][self.prompts[number].answer][0]
                    self.ranks[number] = int((row > row[true]).sum())

    def chance(self, number: int, tokens: Tokens) -> float:
        """Log-probability of a whole answer."""
        return sum(self.chances[number, tokens[:length], token] for length, token in enumerate(tokens))

    def walk(self, number: int) -> Tokens:
        """What the model says, to where it leaves the tree or comes to the end of an answer."""
        said: Tokens = ()
        while (number, said) in self.best:
            said = (*said, self.best[number, said])
        return said

    def picked(self, number: int, walk: Tokens) -> str | None:
        """The answer that was said, if one was."""
        own = self.options[number]
        if not self.prompts[number].open:
            return max(own, key=lambda option: self.chance(number, own[option]))
        said = [option for option, tokens in own.items() if walk[: len(tokens)] == tokens]
        longest = max(said, key=lambda option: len(own[option]), default=None)
        return None if longest is None or _goes_on(self.model, own[longest], walk[len(own[longest])]) else longest


def _goes_on(model: LanguageModel, tokens: Tokens, following: int) -> bool:
    """Whether the next token belongs to the last word. In a script without cases nothing tells, and it counts as another."""
    before, after = (model.tokenizer.decode(list(some)) for some in (tokens, (*tokens, following)))
    last, first = before[-1:], after[len(before) :][:1]
    return last.isalnum() and (first.isdecimal() or first.lower() != first.upper())


def _continued(model: LanguageModel, starts: Sequence[Sequence[int]], begun: Mapping[int, tuple[Tokens, int]]) -> dict[int, Tokens]:
    """What is said, greedily continued to so many tokens, or to a special one, which ends it."""
    said, ends = {number: walk for number, (walk, _) in begun.items()}, set(model.tokenizer.all_special_ids)
    while todo := [number for number, walk in said.items() if len(walk) < begun[number][1] and walk[-1] not in ends]:
        best = answer_logits(model, pack(model, [[*starts[number], *said[number]] for number in todo])).argmax(-1).tolist()
        said.update({number: (*said[number], token) for number, token in zip(todo, best, strict=True)})
    return said
