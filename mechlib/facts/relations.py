"""Relations, as data: the wordings of each, and examples that demonstrate it.

``sport`` has the paper's wordings (section 4 and its released code) and more; the other relations
are those of ``world_facts.csv``, in the manner of CounterFact: a prompt that ends right before the
answer, and two paraphrases of it. All were written for this project. ``{}`` stands for the subject.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mechlib.facts.fact import Fact, FactError


@dataclass(frozen=True)
class Relation:
    """``options`` are the answers that compete, if the relation has a closed list of them; an open one has none."""

    key: str
    wordings: Mapping[str, str]
    demonstrations: tuple[tuple[str, str], ...] = ()
    options: tuple[str, ...] | None = None

    def worded(self, name: str, subject: str) -> tuple[str, int]:
        """One wording with the subject in it, and where its last place ends; raises :class:`FactError` if there is no such wording."""
        if name not in self.wordings:
            raise FactError(f"the relation '{self.key}' has no wording '{name}' (it has: {', '.join(self.wordings)})")
        before, _, after = self.wordings[name].rpartition("{}")
        until = before.replace("{}", subject) + subject
        return until + after, len(until)


def _open(key: str, statement: str, first: str, second: str, *demonstrations: tuple[str, str]) -> Relation:
    return Relation(key, {"statement": statement, "paraphrase_1": first, "paraphrase_2": second}, demonstrations)


SPORT = Relation(
    key="sport",
    wordings={
        "statement": "{} plays the sport of",
        "question": "What sport does {} play?",
        "cloze": "{} became famous as a professional athlete. The sport that made {} famous is",
    },
    demonstrations=(
        ("Tiger Woods", "golf"),
        ("Babe Ruth", "baseball"),
        ("Magic Johnson", "basketball"),
        ("Joe Montana", "football"),
    ),
    options=("football", "baseball", "basketball", "golf"),
)
WORLD = (
    _open("maker", "{} is manufactured by the company", "The company that builds the {} is", "The {} is a product of",
          ("Corolla", "Toyota"), ("iMac", "Apple"), ("787 Dreamliner", "Boeing"), ("Walkman", "Sony")),
    _open("developer", "{} is software developed by the company", "The company that created {} is",
          "Credit for building {} goes to the developers at",
          ("Windows 10", "Microsoft"), ("Illustrator", "Adobe"), ("Xcode", "Apple"), ("Mega Man", "Capcom")),
    _open("mother_tongue", "The mother tongue of {} is", "{} grew up speaking", "The first language that {} learned was",
          ("Aristotle", "Greek"), ("Jean-Paul Sartre", "French"), ("Deng Xiaoping", "Chinese"), ("William Shakespeare", "English")),
    _open("official_language", "The official language spoken in {} is", "Official documents in {} are written in",
          "At public schools in {}, lessons are taught in",
          ("Argentina", "Spanish"), ("Yemen", "Arabic"), ("Barbados", "English"), ("Gabon", "French")),
    _open("continent", "{} is located on the continent of", "Among the continents of the world, {} is found in",
          "If you visit {}, you are on the continent of",
          ("Mont Blanc", "Europe"), ("Botswana", "Africa"), ("Mongolia", "Asia"), ("Fiji", "Oceania")),
    _open("capital", "The capital city of {} is", "The government of {} sits in its capital,",
          "The city that serves as the capital of {} is",
          ("England", "London"), ("Peru", "Lima"), ("Iraq", "Baghdad"), ("Belarus", "Minsk")),
    _open("country_of_city", "{} is a city in the country of", "The city of {} belongs to the country of",
          "To visit the city of {}, you have to travel to",
          ("Venice", "Italy"), ("Hiroshima", "Japan"), ("Dresden", "Germany"), ("Montreal", "Canada")),
    _open("headquarters", "The headquarters of {} is in the city of", "{} is based in the city of", "{} is run from its head office in",
          ("HSBC", "London"), ("Cartier", "Paris"), ("LG Electronics", "Seoul"), ("Delta Air Lines", "Atlanta")),
    _open("birth_country", "{} was born in the country of", "The country where {} was born is", "The homeland of {} is the country of",
          ("Usain Bolt", "Jamaica"), ("Rene Descartes", "France"), ("Wayne Gretzky", "Canada"), ("Ayrton Senna", "Brazil")),
    _open("religion", "{} is associated with the religion of", "When it comes to religion, {} is linked to",
          "The religion that people connect with {} is",
          ("Moses", "Judaism"), ("Siddhartha Gautama", "Buddhism"), ("Suleiman the Magnificent", "Islam"), ("Ganesha", "Hinduism")),
    _open("instrument", "The instrument that {} is best known for playing is the", "{} became famous for playing the",
          "As a musician, {} mastered the",
          ("Jimi Hendrix", "guitar"), ("Glenn Gould", "piano"), ("Miles Davis", "trumpet"), ("John Bonham", "drums")),
    _open("original_language", "The original language of the work {} is", "Before it was translated, {} existed only in",
          "To enjoy {} without any translation, one has to know",
          ("The Iliad", "Greek"), ("Les Miserables", "French"), ("Pinocchio", "Italian"), ("Macbeth", "English")),
    _open("country_of_landmark", "The landmark {} is located in the country of", "Tourists who want to see {} travel to",
          "The country that is home to {} is",
          ("Eiffel Tower", "France"), ("Taj Mahal", "India"), ("Colosseum", "Italy"), ("Forbidden City", "China")),
    _open("state_of_city", "{} is a city in the American state of", "The city of {} lies in the state of",
          "To visit {}, you have to travel to the state of",
          ("Houston", "Texas"), ("Los Angeles", "California"), ("Chicago", "Illinois"), ("Detroit", "Michigan")),
    _open("profession", "{} became famous as a", "By profession, {} was a", "The world remembers {} as a",
          ("Henri Matisse", "painter"), ("Antonio Vivaldi", "composer"), ("Richard Feynman", "physicist"), ("Robert Frost", "poet")),
)  # fmt: skip
RELATIONS = {relation.key: relation for relation in (SPORT, *WORLD)}


def relation_of(fact: Fact) -> Relation:
    """The fact's relation, in its own words if it brings some; raises :class:`FactError` if there are none."""
    if fact.wordings:
        statement, *paraphrases = fact.wordings
        named = {f"paraphrase_{number}": text for number, text in enumerate(paraphrases, start=1)}
        return Relation(fact.relation, {"statement": statement, **named}, fact.demonstrations, fact.options or None)
    if fact.relation not in RELATIONS:
        raise FactError(f"no prompts are written for the relation '{fact.relation}' (known: {', '.join(RELATIONS)})")
    return RELATIONS[fact.relation]


def demonstration_subjects() -> frozenset[str]:
    """Everybody and everything that appears in a demonstration: they belong to no set of facts."""
    return frozenset(subject for relation in RELATIONS.values() for subject, _ in relation.demonstrations)
