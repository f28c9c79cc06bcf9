"""Tasks: which facts an experiment is about, what happens to them, and how fact lookup finds its layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

from mechlib.facts import FactError, FactSet, athletes, counterfact, formats_of, world_facts
from mechlib.facts.invented import invented_athletes
from mechlib.facts.relations import SPORT, WORLD, Relation
from mechlib.localize.localizer import Lookup
from mechlib.localize.registry import SITES


@dataclass(frozen=True)
class Domain:
    """Facts of one kind. ``known_format`` and ``edit_format`` are defaults that a page can change: facts are chosen in the format that
    they are edited in. ``published``: the paper's formats, the one that it edits in first.

    ``lookup`` is the evidence of fact lookup: probes where all facts have one relation and few
    answers, path patching where they have many (the paper, section 3). ``whole``: answers may have several tokens
    and are asked for whole; ``None``: each is one token, and this is not asked.
    """

    table: Callable[[str | None], FactSet]
    relation: Relation
    known_format: str
    edit_format: str
    formats: tuple[str, ...]
    lookup: Lookup
    published: tuple[str, ...]
    whole: bool | None = None


@dataclass(frozen=True)
class Task:
    """A task of the paper.

    ``forget``: ``sets`` of facts with every answer, or all facts with one of the ``answers``.
    ``loss``: inject another answer (``target``, or one of the others), or unlearn the true one.
    ``parts``: a forget set is edited in so many parts, one after the other, each localized anew.
    ``scale``: a forget set has so many times as many facts as the study says.
    ``planted``: the facts are invented, and trained into these components first, forget sets in turn. ``spread``: each forget set has a
    model of its own, whose facts are planted at a place of its own, from the first layer to the last; nothing is edited.
    ``beyond``: formats that only some claims ask for: the unedited model is asked whether it can answer so, and edits are not.
    """

    key: str
    label: str
    domain: Domain
    forget: Literal["sets", "answers"] = "sets"
    loss: Literal["injection", "unlearning"] = "injection"
    target: str | None = None
    parts: int = 1
    scale: int = 1
    planted: tuple[str, ...] = ()
    spread: bool = False
    beyond: tuple[str, ...] = ()

    def setting(self, set_size: int) -> str:
        """Which of the paper's sweeps gives the task's hyperparameters; an unlearned set takes those of its edit."""
        if self.domain.relation is SPORT:
            return "athletes" if self.forget == "sets" else "sports unlearning" if self.loss == "unlearning" else "full sports"
        return "counterfact 16" if set_size <= 16 and self.parts == 1 else "counterfact 64"

    @property
    def possible_formats(self) -> tuple[str, ...]:
        """The formats in which the task's facts can be asked."""
        return formats_of(self.domain.relation)


# The shipped tables stay as they are, and every study begins with one.
_shipped_athletes, _shipped_world, _invented = cache(athletes), cache(world_facts), cache(invented_athletes)


def _athletes(source: str | None) -> FactSet:
    try:
        return athletes(Path(source).expanduser()) if source else _shipped_athletes()
    except RuntimeError as error:
        raise FactError(f"FACTS={source}: {error}") from None


def _world(source: str | None) -> FactSet:
    if not source:
        return _shipped_world()
    return counterfact(str(Path(source).expanduser()) if source.startswith("~") else source)


SPORTS = Domain(
    _athletes, SPORT, "few_shot", "few_shot", ("one_shot", "question", "few_shot", "cloze", "multiple_choice"), "probe",
    published=("one_shot", "question", "multiple_choice"),
)
COUNTERFACT = Domain(
    _world, WORLD[0], "one_shot", "one_shot", ("one_shot", "statement", "paraphrase_1", "paraphrase_2"), "paths",
    published=("statement", "paraphrase_1", "paraphrase_2"), whole=True,
)
INVENTED = replace(SPORTS, table=lambda _source: _invented())
TASKS = {
    task.key: task
    for task in (
        Task("sports-athlete-editing", "Sports-Athlete-Editing", SPORTS, beyond=("word_choice", "spanish", "french", "german")),
        Task("full-sports-editing", "Full-Sports-Editing", SPORTS, forget="answers", target="golf"),
        Task("sports-unlearning", "Sports-Unlearning", SPORTS, forget="answers", loss="unlearning"),
        Task("counterfact-editing", "CounterFact-Editing", COUNTERFACT),
        Task("counterfact-unlearning", "CounterFact-Unlearning", COUNTERFACT, loss="unlearning"),
        Task("sequential-counterfact-editing", "Sequential-CounterFact-Editing", COUNTERFACT, parts=4),
        # Hundreds of facts at once (the paper's scaling study): 12 x 16 = 192.
        Task("planted-facts", "Planted facts", INVENTED, planted=SITES),
        Task("planted-everywhere", "Facts planted everywhere", INVENTED, planted=("all_mlps",)),
        Task("planted-places", "Facts planted at many places", INVENTED, spread=True),
        Task("sports-scaling", "Sports-Scaling", SPORTS, scale=12),
        Task("counterfact-scaling", "CounterFact-Scaling", COUNTERFACT, scale=12),
    )
}
