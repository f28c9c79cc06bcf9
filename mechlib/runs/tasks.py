"""Tasks: which facts an experiment is about, how they are asked, and how fact lookup finds its layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mechlib.facts import FactSet, athletes, counterfact, formats_of, world_facts
from mechlib.facts.relations import SPORT, WORLD
from mechlib.localize.registry import Lookup


@dataclass(frozen=True)
class Task:
    """A task of the paper. ``known_format`` and ``edit_format`` are defaults that a page can change.

    ``lookup`` is the evidence of fact lookup: probes where all facts have one relation and few
    answers, path patching where they have many (the paper, section 3).
    """

    key: str
    label: str
    table: Callable[[str | None], FactSet]
    known_format: str
    edit_format: str
    formats: tuple[str, ...]
    lookup: Lookup
    possible_formats: tuple[str, ...]


def _athletes(source: str | None) -> FactSet:
    return athletes(Path(source).expanduser() if source else None)


def _world(source: str | None) -> FactSet:
    return counterfact(source) if source else world_facts()


TASKS = {
    task.key: task
    for task in (
        Task("sports-athlete-editing", "Sports-Athlete-Editing", _athletes, "few_shot", "one_shot",
             ("one_shot", "question", "few_shot", "cloze", "multiple_choice"), "probe", formats_of(SPORT)),
        Task("counterfact-editing", "CounterFact-Editing", _world, "one_shot", "one_shot",
             ("one_shot", "statement", "paraphrase_1", "paraphrase_2"), "paths", formats_of(WORLD[0])),
    )
}  # fmt: skip
