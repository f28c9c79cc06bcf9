"""The one shape of attacks: what an attacker has, and the models that come out.

An attack gets a model (edited, or not: that is its control) and yields it attacked, at one setting
after the other. Whoever calls it asks the yielded model; an attack never sees what is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mechlib.facts import Prompt
from mechlib.models.language_model import LanguageModel


@dataclass(frozen=True)
class Knowledge:
    """What an attacker has, none of it about the facts that are asked afterwards.

    ``relearn``: prompts about the attacker's part of the forget set, with the true answers;
    ``retain``: prompts about facts that no edit was meant to touch; ``texts``: general text (token
    ids, with the beginning token); ``original``: the unedited model, for audits that compare with it.
    """

    relearn: Sequence[Prompt]
    retain: Sequence[Prompt]
    texts: Sequence[Sequence[int]]
    original: LanguageModel


def as_it_is(prompt: Prompt) -> Prompt:
    """A prompt that the attacker does not change."""
    return prompt


@dataclass(frozen=True)
class Attacked:
    """A model under attack. ``setting`` names how, ``step`` counts how long (0 where there is no time).

    ``rewrite`` is how this attacker asks. The model is valid until the next one is asked for.
    """

    setting: str
    step: int
    model: LanguageModel
    rewrite: Callable[[Prompt], Prompt] = as_it_is


# ``attack(model, knowledge, seed, **settings)``; settings are plain values that JSON can hold. Once the
# iterator is exhausted or closed, ``model`` is what it was, bit for bit.
Attack = Callable[..., Iterator[Attacked]]
