"""What the settings of several stages share."""

from __future__ import annotations

from dataclasses import dataclass

from mechlib.facts import PromptFormat
from mechlib.runs.knowledge import SplitSettings


@dataclass(frozen=True)
class Subject:
    """The model and the facts that a run is about, by their hashes.

    ``relations``: of the wordings, demonstrations and options in which the facts are asked.
    """

    model: str
    dtype: str
    facts: str
    relations: str


@dataclass(frozen=True)
class ForgetSet:
    """One forget set of a study and the format in which facts are asked."""

    subject: Subject
    splits: SplitSettings
    format: PromptFormat
    forget_set: int
