"""Athletes' sports in other languages, as data: how a format says the statement, and its answers, there. Written for this project."""

from __future__ import annotations

from dataclasses import dataclass

from mechlib.facts.relations import SPORT, Relation


@dataclass(frozen=True)
class Language:
    """A relation with a closed list of answers in another language: its ``statement``, and what each answer is called there.

    In many vocabularies a word is several tokens, and its first stands for it: no two answers may begin alike.
    """

    relation: str
    statement: str
    words: tuple[tuple[str, str], ...]

    def speaks_of(self, relation: Relation) -> bool:
        """Whether it has words for this relation and for all of its answers."""
        return relation.key == self.relation and {*(relation.options or ())} == {answer for answer, _ in self.words}

    def word(self, answer: str) -> str:
        """What an answer is called."""
        return dict(self.words)[answer]


def _sports(statement: str, *words: str) -> Language:
    return Language(SPORT.key, statement, tuple(zip(SPORT.options or (), words, strict=True)))


SPANISH = _sports("{} juega al", "fútbol americano", "béisbol", "baloncesto", "golf")
FRENCH = _sports("{} joue au", "football américain", "baseball", "basket-ball", "golf")
GERMAN = _sports("{} spielt", "Football", "Baseball", "Basketball", "Golf")
