"""The one shape of attacks: what an attacker has, the models that come out, and what a study must know to run one.

An attack gets a model (edited, or not: that is its control) and yields it attacked, at one setting
after the other. Whoever calls it asks the yielded model; an attack never sees what is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True)
class Attack:
    """An attack and all that a study must know of it.

    - ``run(model, knowledge, seed, **settings)`` yields attacked models; settings are plain values that JSON can hold.
      ``model`` itself never changes.
    - ``version``: raised when the same settings give other rows (see :mod:`mechlib.runs.spec`).
    - ``definition``: what a page says beside its numbers.
    - ``settings``: how hard it tries, by profile.
    - ``folds``: whether the attacker holds one half of the forget set and is tested on the other, then the reverse.
    - ``nulls``: the same attack without the knowledge, by the settings that differ.
    - ``reads``: files whose text it uses.
    - ``seconds``: what it costs in the quick profile on one core; ``effort``: how much work settings are, in any unit, so that others
      cost as much more. Without it, an attack costs the more the more is asked.
    """

    key: str
    label: str
    version: int
    run: Callable[..., Iterator[Attacked]]
    definition: str
    settings: Mapping[str, Mapping[str, Any]]
    folds: bool = False
    nulls: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    reads: tuple[Path, ...] = ()
    seconds: float = 5.0
    effort: Callable[[Mapping[str, Any]], float] | None = None
