"""Prompt formats, as data: one fact can be asked in many ways, and an edit must hold in all of them.

``one_shot`` and ``question`` are the paper's formats (section 4 and its released code), the others
widen the test. A prompt ends right before the answer; answers start with a space.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mechlib.facts.fact import Fact, FactError


@dataclass(frozen=True)
class Relation:
    """The wordings of one relation; ``{}`` stands for the subject."""

    key: str
    statement: str
    question: str
    cloze: str
    options: tuple[str, ...]
    demonstrations: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class PromptFormat:
    """One way to ask. ``shots`` demonstrations come first; ``letters`` asks for an option's letter."""

    key: str
    label: str
    line: str
    shots: int = 0
    letters: bool = False


@dataclass(frozen=True)
class Prompt:
    """A text that ends before its answer, with every answer that competes for the next token."""

    text: str
    fact: Fact
    format: str
    options: tuple[str, ...]
    answer: str
    target: str | None
    rotation: int = 0

    @property
    def subject_end(self) -> int:
        """Character position right after the last mention of the subject."""
        return self.text.rindex(self.fact.subject) + len(self.fact.subject)

    @property
    def subject_start(self) -> int:
        """Character position of the last mention of the subject."""
        return self.text.rindex(self.fact.subject)


SPORT = Relation(
    key="sport",
    statement="{} plays the sport of",
    question="What sport does {} play?",
    cloze="{} became famous as a professional athlete. The sport that made {} famous is",
    options=("football", "baseball", "basketball", "golf"),
    demonstrations=(
        ("Tiger Woods", "golf"),
        ("Babe Ruth", "baseball"),
        ("Magic Johnson", "basketball"),
        ("Joe Montana", "football"),
    ),
)
RELATIONS = {SPORT.key: SPORT}

FORMATS = {
    form.key: form
    for form in (
        PromptFormat("one_shot", "One-shot statement", "Fact: {statement}", shots=1),
        PromptFormat("question", "Question", "Question: {question} Answer:", shots=1),
        PromptFormat("few_shot", "Four-shot statement", "Fact: {statement}", shots=4),
        PromptFormat("cloze", "Cloze", "{cloze}"),
        PromptFormat("multiple_choice", "Letter choice", "Question: {question}\n{options}\nAnswer:", 2, True),
    )
}
LETTERS = ("A", "B", "C", "D")


def demonstration_subjects() -> frozenset[str]:
    """Everybody that appears in a demonstration: they belong to no set of facts."""
    return frozenset(subject for relation in RELATIONS.values() for subject, _ in relation.demonstrations)


def prompt(fact: Fact, form: PromptFormat, rotation: int = 0) -> Prompt:
    """Ask ``fact`` in a format. ``rotation`` shifts the options of a letter choice, in its demonstrations too.

    Raises :class:`FactError` if the relation has no wordings or the answer is not among its options.
    """
    relation = RELATIONS.get(fact.relation)
    if relation is None:
        raise FactError(f"no prompts are written for the relation '{fact.relation}' (known: {', '.join(RELATIONS)})")
    for word in (fact.answer, fact.target):
        if word is not None and word not in relation.options:
            raise FactError(f"{fact.subject}: '{word}' is none of {', '.join(relation.options)}")
    lines: list[str] = []
    for number, (subject, answer) in enumerate(relation.demonstrations[: form.shots]):
        # Demonstrations rotate differently from the question, so that no letter is given away.
        options = _rotated(relation.options, rotation + 1 + number)
        lines.append(f"{_line(relation, form, subject, options)} {_spoken(form, answer, options)}")
    options = _rotated(relation.options, rotation)
    lines.append(_line(relation, form, fact.subject, options))
    return Prompt(
        text="\n".join(lines),
        fact=fact,
        format=form.key,
        options=tuple(f" {_spoken(form, option, options)}" for option in relation.options),
        answer=f" {_spoken(form, fact.answer, options)}",
        target=f" {_spoken(form, fact.target, options)}" if fact.target else None,
        rotation=rotation,
    )


def prompts(facts: Sequence[Fact], form: PromptFormat, rotations: int = 1) -> list[Prompt]:
    """One prompt a fact, or ``rotations`` a fact for a letter choice.

    With fewer rotations than options the facts take turns, so every letter is right equally often.
    """
    if not form.letters:
        return [prompt(fact, form) for fact in facts]
    return [prompt(fact, form, (number + turn) % len(LETTERS)) for number, fact in enumerate(facts) for turn in range(rotations)]


def _rotated(options: tuple[str, ...], by: int) -> tuple[str, ...]:
    shift = by % len(options)
    return options[shift:] + options[:shift]


def _spoken(form: PromptFormat, answer: str, options: tuple[str, ...]) -> str:
    return LETTERS[options.index(answer)] if form.letters else answer


def _line(relation: Relation, form: PromptFormat, subject: str, options: tuple[str, ...]) -> str:
    return form.line.format(
        statement=relation.statement.format(subject),
        question=relation.question.format(subject),
        cloze=relation.cloze.replace("{}", subject),
        options="\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=True)),
    )
