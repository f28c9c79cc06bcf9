"""Invented athletes: people who do not exist, with sports that were drawn. What a model says of them it was taught here, or it guesses."""

from __future__ import annotations

import random
from itertools import product

from mechlib.facts.fact import Fact, FactSet
from mechlib.facts.tables import SPORTS, athletes

_FIRST = ("Alan", "Barry", "Carl", "Dale", "Edwin", "Frank", "Glenn", "Howard", "Irvin", "Jerome", "Keith", "Leon", "Martin", "Neil",
          "Oscar", "Perry", "Ralph", "Stuart", "Trevor", "Vernon", "Wayne", "Clive", "Derek", "Gordon")  # fmt: skip
_BEGINNINGS = ("Bran", "Cal", "Dor", "Eld", "Fen", "Gar", "Hol", "Kel", "Lor", "Mar", "Nor", "Per", "Quin",
               "Ros", "Tal", "Ver", "Wil", "Zan")  # fmt: skip
_ENDINGS = ("bury", "dane", "fell", "grove", "hagen", "kirk", "lund", "mere", "nock", "quist", "rell", "sby", "stad", "thorpe", "wick",
            "zar", "mont", "dorf", "holt", "vane", "brook", "leigh")  # fmt: skip
# One of so many is never taught.
_SPARED = 5


def invented_athletes(seed: int = 0) -> FactSet:
    """Athletes with surnames of their own, none of them in the shipped table, in a drawn order; as many of each of three sports."""
    generator = random.Random(seed)
    surnames = ["".join(parts) for parts in product(_BEGINNINGS, _ENDINGS)]
    generator.shuffle(surnames)
    real = {subject.split()[-1] for subject in athletes().subjects}
    names = [f"{_FIRST[place % len(_FIRST)]} {surname}" for place, surname in enumerate(surnames) if surname not in real]
    names = names[: len(names) // len(SPORTS) * len(SPORTS)]
    sports = list(SPORTS) * (len(names) // len(SPORTS))
    generator.shuffle(sports)
    return FactSet("invented athletes", tuple(Fact(name, "sport", sport) for name, sport in zip(names, sports, strict=True)))


def taught(facts: FactSet, count: int) -> tuple[Fact, ...]:
    """The first ``count`` of those that may be planted. One fact in five may not: a model that gives its answer after an attack has it from
    the attack.
    """
    return tuple(fact for place, fact in enumerate(facts) if place % _SPARED)[:count]
