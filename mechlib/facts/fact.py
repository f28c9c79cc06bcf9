"""A fact, a set of facts, and how a study divides the facts that a model knows."""

from __future__ import annotations

import hashlib
import json
import random
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from mechlib import checks
from mechlib.errors import MechlibError, shown

# An edit needs other facts to hold on to, however large its forget set is.
LEAST_MAINTAINED = 32


class FactError(MechlibError, ValueError):
    """Facts that cannot be read or divided as asked; the message says what to do."""


@dataclass(frozen=True, order=True)
class Fact:
    """``subject`` stands in ``relation`` to ``answer``; an edit makes the model say ``target`` instead.

    A published fact brings its own ``wordings`` (a statement, then paraphrases; ``{}`` is the subject)
    and ``neighbourhood`` (texts about other subjects with the same answer); others leave both to their relation.
    With wordings of its own a fact can bring ``options`` (the answers that compete; none: every token does) and
    ``demonstrations`` (other subjects and their answers). All text is kept in Unicode's composed form (NFC), without spaces around it.
    Raises :class:`FactError` if it brings these alone or demonstrates itself, without a subject or an answer, if the edit target is
    the answer, for a wording without a place for the subject, and for what is no text where text belongs.
    """

    subject: str
    relation: str
    answer: str
    target: str | None = None
    wordings: tuple[str, ...] = ()
    neighbourhood: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    demonstrations: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for name in ("subject", "relation", "answer", "target"):
            if (given := getattr(self, name)) is not None and not isinstance(given, str):
                raise FactError(f"a fact's {name} is {shown(given)}: give text")
        for name in ("wordings", "neighbourhood", "options"):
            if not _are_texts(getattr(self, name)):
                raise FactError(f"{self.subject}: {name} are {shown(getattr(self, name))}: give a tuple of texts")
        if not all(_are_texts(pair) and len(pair) == 2 for pair in self.demonstrations):
            raise FactError(f"{self.subject}: demonstrations are {shown(self.demonstrations)}: give pairs of a subject and its answer")
        # The same name, however it was typed: as a subject, in a text and among the options.
        for name, value in vars(self).items():
            object.__setattr__(self, name, composed(value))
        if not self.subject or not self.answer:
            raise FactError(f"a fact needs a subject and an answer: {self.subject or 'nobody'} -> {self.answer or 'nothing'}")
        if self.target is not None and self.target.casefold() == self.answer.casefold():
            raise FactError(f"{self.subject}: the edit target is the true answer, {self.answer}: give another")
        for wording in self.wordings:
            if "{}" not in wording:
                raise FactError(f"{self.subject}: the wording '{wording}' has no {{}} for the subject")
        if (self.options or self.demonstrations) and not self.wordings:
            raise FactError(f"{self.subject} brings options or demonstrations: give it wordings, too, for a relation has its own")
        if self.subject in dict(self.demonstrations):
            raise FactError(f"{self.subject} is among its own demonstrations: demonstrate with other subjects")

    def __str__(self) -> str:
        return f"{self.subject} -> {self.answer}" + (f" (edit: {self.target})" if self.target else "")


def _are_texts(values: Any) -> bool:
    return isinstance(values, tuple | list) and all(isinstance(one, str) for one in values)


def composed(value: Any) -> Any:
    """Text in NFC, without spaces around it; an entry that is only spaces is none. Tuples of text likewise."""
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value).strip()
    return tuple(map(composed, value)) if isinstance(value, tuple) else value


@dataclass(frozen=True)
class LeftOut:
    """What a table holds and no study asks: ``what`` it is, ``why``, and ``where`` in the table it stands, if in one place."""

    what: str
    why: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.where}{': ' if self.where else ''}{self.what}: {self.why}"


@dataclass(frozen=True)
class FactSet:
    """A named sequence of facts, no (relation, subject) twice. ``left_out``: what its source held besides; it is no part of the set."""

    name: str
    facts: tuple[Fact, ...]
    left_out: tuple[LeftOut, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        seen: set[tuple[str, str]] = set()
        for fact in self.facts:
            if (fact.relation, fact.subject) in seen:
                raise FactError(f"fact set '{self.name}' holds {fact.subject} twice")
            seen.add((fact.relation, fact.subject))

    def __len__(self) -> int:
        return len(self.facts)

    def __iter__(self) -> Iterator[Fact]:
        return iter(self.facts)

    def named(self, name: str) -> FactSet:
        """The same facts under another name."""
        return FactSet(name, self.facts)

    @property
    def subjects(self) -> frozenset[str]:
        """Everybody the set is about."""
        return frozenset(fact.subject for fact in self.facts)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the facts in their order (not of the name)."""
        rows = json.dumps([_written(fact) for fact in self.facts], sort_keys=True)
        return hashlib.sha256(rows.encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """A dictionary that :meth:`from_json` reads back to an equal value."""
        return {"name": self.name, "facts": [_written(fact) for fact in self.facts]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FactSet:
        """Inverse of :meth:`to_json`; raises :class:`FactError` for anything else."""
        try:
            return cls(data["name"], tuple(_read(fact) for fact in data["facts"]))
        except (LookupError, TypeError, ValueError) as error:
            raise FactError(f"no set of facts (needs 'name' and 'facts', each with its fields): {error}") from None


def _written(fact: Fact) -> dict[str, Any]:
    """All fields; but those that came later only where they say something, so that fingerprints of older tables stand."""
    later = ("options", "demonstrations")
    return {name: value for name, value in vars(fact).items() if value or name not in later}


def _read(data: Mapping[str, Any]) -> Fact:
    fields: dict[str, Any] = {**data, "demonstrations": tuple(map(tuple, data.get("demonstrations", ())))}
    fact = Fact(**fields)
    return replace(fact, wordings=tuple(fact.wordings), neighbourhood=tuple(fact.neighbourhood), options=tuple(fact.options))


@dataclass(frozen=True)
class Splits:
    """Disjoint parts of the known facts: what is edited, what must be kept, what was never touched.

    ``validate`` is edited only to choose hyperparameters. Where whole answers are forgotten
    (``held_out`` is not empty), the parts to maintain hold facts with every answer, so they belong
    to an experiment without those of its forget set: see :meth:`retained`.
    """

    forget: tuple[FactSet, ...]
    maintain_train: FactSet
    maintain_test: FactSet
    localize: FactSet
    validate: FactSet = FactSet("validate", ())
    held_out: tuple[FactSet, ...] = ()

    def __iter__(self) -> Iterator[FactSet]:
        parts = (*self.forget, self.maintain_train, self.maintain_test, self.localize, self.validate, *self.held_out)
        yield from (part for part in parts if len(part))

    def retained(self, part: FactSet, forget_set: int) -> tuple[Fact, ...]:
        """The facts of a part that an edit of this forget set should leave alone."""
        gone = {fact.answer for fact in self.forget[forget_set]} if self.held_out else set[str]()
        return tuple(fact for fact in part if fact.answer not in gone)

    def beside(self, forget_set: int) -> tuple[Fact, ...]:
        """All known facts that an edit of this forget set should leave alone and that nothing is tested on: also those of other sets."""
        others = (fact for number, part in enumerate(self.forget) if number != forget_set for fact in part)
        known = (*self.maintain_train, *self.localize, *(replace(fact, target=None) for fact in others))
        return self.retained(FactSet("beside", known), forget_set)


def by_answer(facts: Iterable[Fact]) -> dict[str, list[Fact]]:
    """Facts grouped by their answer, answers in alphabetical order."""
    groups: dict[str, list[Fact]] = {}
    for fact in sorted(facts):
        groups.setdefault(fact.answer, []).append(fact)
    return dict(sorted(groups.items()))


def stratified_order(facts: Iterable[Fact], generator: random.Random) -> list[Fact]:
    """All facts in a random order that is stratified: any stretch of it is balanced over the answers."""
    placed: list[tuple[float, str, Fact]] = []
    for answer, group in by_answer(facts).items():
        order = list(group)
        generator.shuffle(order)
        placed += [((rank + generator.random()) / len(order), answer, fact) for rank, fact in enumerate(order)]
    return [fact for _, _, fact in sorted(placed, key=lambda item: item[:2])]


def with_targets(facts: Sequence[Fact], answers: Sequence[str], generator: random.Random) -> tuple[Fact, ...]:
    """Give every fact that has none an edit target: another answer, each of the others equally often in turn."""
    targeted: list[Fact] = []
    for answer, group in by_answer(facts).items():
        others = [other for other in sorted(answers) if other != answer]
        generator.shuffle(others)
        targeted += [fact if fact.target else replace(fact, target=others[rank % len(others)]) for rank, fact in enumerate(group)]
    targets = {fact.subject: fact for fact in targeted}
    return tuple(targets[fact.subject] for fact in facts)


def split(
    known: FactSet,
    *,
    n_sets: int,
    set_size: int,
    n_localize: int,
    n_test: int,
    seed: int,
    n_validate: int = 0,
    exclude: Iterable[str] = (),
) -> Splits:
    """Divide the known facts; seeded, disjoint, every part balanced over the answers.

    Forget sets come first, so the first sets of a large study are the sets of a small one with the
    same seed. ``exclude`` names subjects that demonstrations use: they appear in no part. Of several
    facts about one subject only one is taken, so that nothing that is kept is about what is edited.
    Raises :class:`FactError` if the model knows too few facts, and :class:`mechlib.checks.ParameterError` for a count that is none.
    """
    for name, count, least in (("n_sets", n_sets, 1), ("set_size", set_size, 1), ("n_localize", n_localize, 0), ("n_test", n_test, 0),
                               ("n_validate", n_validate, 0)):  # fmt: skip
        checks.whole(name, count, least)
    generator = random.Random(seed)
    facts = one_each(known, exclude)
    answers = sorted({fact.answer for fact in facts})
    needed = n_sets * set_size + n_localize + n_test + n_validate + min(set_size, LEAST_MAINTAINED)
    if len(facts) < needed or len(answers) < 2:
        raise FactError(
            f"the model knows {len(facts)} facts with {len(answers)} answers, and {n_sets} forget sets of {set_size} with "
            f"{n_localize} facts to localize and {n_test} to test need {needed}: ask for fewer or smaller sets, or lower "
            "KNOWN_THRESHOLD"
        )
    order = stratified_order(facts, generator)
    position = 0

    def take(count: int | None, name: str, targets: bool = False) -> FactSet:
        nonlocal position
        part = order[position:] if count is None else order[position : position + count]
        position += len(part)
        return FactSet(name, with_targets(part, answers, generator) if targets else tuple(part))

    forget = tuple(take(set_size, f"forget {number}", targets=True) for number in range(n_sets))
    test = take(n_test, "maintain test")
    localize = take(n_localize, "localize")
    validate = take(n_validate, "validate", targets=True)
    return Splits(forget, take(None, "maintain train"), test, localize, validate)


def one_each(facts: Iterable[Fact], exclude: Iterable[str]) -> list[Fact]:
    """The first fact about each subject, in order, without the subjects of ``exclude``."""
    excluded, first = set(exclude), dict[str, Fact]()
    for fact in facts:
        if fact.subject not in excluded:
            first.setdefault(fact.subject, fact)
    return list(first.values())
