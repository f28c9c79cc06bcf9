"""Facts asked the other way round, and what follows from them in one step: an edit of a fact should move both.

Reverse texts end right before the subject. Consequences are prompts like any other, whose options
stand for the answers of the fact. They are bare: for a small model a single demonstration (golf)
is copied. Where a sport has no word of its own (football and baseball are both played on a
*field*), no consequence is written. All were written for this project.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mechlib.facts.fact import Fact, FactError
from mechlib.facts.prompts import Prompt

# ``{}`` stands for the answer; the subject comes next.
REVERSE: Mapping[str, tuple[str, ...]] = {
    "sport": ("The athlete who plays {} is named", "One person who became famous by playing {} is"),
}


@dataclass(frozen=True)
class Consequence:
    """A statement that follows from a fact of ``relation``: ``{}`` stands for the subject, ``words`` are what each answer entails."""

    kind: str
    relation: str
    wording: str
    words: Mapping[str, str]


CONSEQUENCES = (
    Consequence(
        "league",
        "sport",
        "{} won a championship in the league called the",
        {"football": "NFL", "baseball": "MLB", "basketball": "NBA", "golf": "PGA"},
    ),
    Consequence(
        "highlight",
        "sport",
        "The highlight of the game: {} with a",
        {"football": "touchdown", "baseball": "homer", "basketball": "dunk", "golf": "birdie"},
    ),
    # The first words of Super Bowl, World Series, NBA Finals and Masters Tournament.
    Consequence(
        "title",
        "sport",
        "{} has always dreamed of winning the",
        {"football": "Super", "baseball": "World", "basketball": "NBA", "golf": "Masters"},
    ),
)


def reverse_texts(relation: str, answer: str) -> tuple[str, ...]:
    """Texts that end right before the name of somebody with this answer; raises :class:`FactError` if none are written."""
    if relation not in REVERSE:
        raise FactError(f"no reverse texts are written for the relation '{relation}' (there are for: {', '.join(REVERSE)})")
    return tuple(wording.replace("{}", answer) for wording in REVERSE[relation])


def consequence_prompt(fact: Fact, consequence: Consequence) -> Prompt:
    """Ask what follows from ``fact``: the answer is what its answer entails, the target what its edit target does.

    Raises :class:`FactError` for a fact of another relation or with an answer from which nothing follows.
    """
    for word in (fact.answer, fact.target):
        if fact.relation != consequence.relation or (word is not None and word not in consequence.words):
            raise FactError(f"{fact.subject}: the consequence '{consequence.kind}' says nothing about {fact.relation} '{word}'")
    before, _, after = consequence.wording.rpartition("{}")
    return Prompt(
        text=before.replace("{}", fact.subject) + fact.subject + after,
        fact=fact,
        format=consequence.kind,
        options=tuple(f" {word}" for word in consequence.words.values()),
        answer=f" {consequence.words[fact.answer]}",
        target=f" {consequence.words[fact.target]}" if fact.target else None,
        behind=len(after),
    )
