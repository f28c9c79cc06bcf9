"""Prompt formats, as data: one fact can be asked in many ways, and an edit must hold in all of them.

``one_shot`` and ``question`` are the paper's formats for sports (section 4 and its released code),
``statement`` and the paraphrases those of CounterFact; the others widen the test. A prompt ends
right before the answer; answers start with a space.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from string import Formatter

from mechlib import checks
from mechlib.errors import meant, shown
from mechlib.facts.fact import Fact, FactError
from mechlib.facts.languages import FRENCH, GERMAN, SPANISH, Language
from mechlib.facts.relations import Relation, relation_of

# The format of a prompt about another subject with the same answer.
NEIGHBOURHOOD = "neighbourhood"


@dataclass(frozen=True)
class PromptFormat:
    """One way to ask. ``shots`` demonstrations come first; ``letters`` asks for an option's letter.

    ``language``: the statement and its answers are said in it.
    """

    key: str
    # What a reader sees, not what is asked.
    label: str = field(metadata={"identity": False})
    line: str
    shots: int = 0
    letters: bool = False
    language: Language | None = None

    @property
    def lists(self) -> bool:
        """Whether the options stand in the prompt, in an order that rotates."""
        return "{options}" in self.line

    @property
    def wordings(self) -> tuple[str, ...]:
        """The wordings of a relation that the line is made of."""
        return tuple(name for _, name, _, _ in Formatter().parse(self.line) if name and name != "options")

    def asks(self, relation: Relation) -> bool:
        """Whether facts of a relation can be asked so."""
        if self.language is not None:
            return self.language.speaks_of(relation)
        return set(self.wordings) <= set(relation.wordings) and (relation.options is not None or not self.lists)


@dataclass(frozen=True)
class Prompt:
    """A text that ends before its answer, with the answers that compete for the next token.

    ``open``: every token competes, because the relation has no closed list of answers; ``options``
    are then the true answer and the edit target. ``behind``: so many characters follow the subject
    (its last place in the wording); what is put before the text leaves it where it is. ``translated``:
    the answers are words of another language. Raises :class:`FactError` for a blank text.
    """

    text: str
    fact: Fact
    format: str
    options: tuple[str, ...]
    answer: str
    target: str | None
    rotation: int = 0
    open: bool = False
    behind: int | None = None
    translated: bool = False

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise FactError(f"{self.fact.subject}: the prompt is empty")

    @property
    def first(self) -> bool:
        """Whether an answer of several tokens stands for its first: elsewhere an answer is one token."""
        return self.open or self.translated

    @property
    def subject_end(self) -> int:
        """Character position right after the subject's last place in the text; errors as of :attr:`subject_start`."""
        return self.subject_start + len(self.fact.subject)

    @property
    def subject_start(self) -> int:
        """Character position where the wording puts the subject, the last of several.

        A text that no wording made must hold the subject once: raises :class:`FactError` if it does not, and for a published
        neighbourhood text, which is about somebody else.
        """
        if self.behind is not None:
            return len(self.text) - self.behind - len(self.fact.subject)
        if self.format == NEIGHBOURHOOD:
            raise FactError(f"the neighbourhood text '{self.text}' of {self.fact.subject} is about another subject and does not say "
                            "where: it can be asked, not traced")  # fmt: skip
        if self.text.count(self.fact.subject) != 1:
            raise FactError(f"the prompt '{self.text}' does not say where its subject is: it must hold {self.fact.subject} once")
        return self.text.index(self.fact.subject)


FORMATS = {
    form.key: form
    for form in (
        PromptFormat("one_shot", "One-shot statement", "Fact: {statement}", shots=1),
        PromptFormat("question", "Question", "Question: {question} Answer:", shots=1),
        PromptFormat("few_shot", "Four-shot statement", "Fact: {statement}", shots=4),
        PromptFormat("cloze", "Cloze", "{cloze}"),
        PromptFormat("multiple_choice", "Letter choice", "Question: {question}\n{options}\nAnswer:", 2, True),
        PromptFormat("statement", "Bare statement", "{statement}"),
        PromptFormat("paraphrase_1", "First paraphrase", "{paraphrase_1}", shots=1),
        PromptFormat("paraphrase_2", "Second paraphrase", "{paraphrase_2}", shots=1),
        PromptFormat("word_choice", "Word choice", "Question: {question}\nOptions: {options}\nAnswer:", shots=2),
        PromptFormat("spanish", "Spanish", "Dato: {statement}", shots=4, language=SPANISH),
        PromptFormat("french", "French", "Fait : {statement}", shots=4, language=FRENCH),
        PromptFormat("german", "German", "Fakt: {statement}", shots=4, language=GERMAN),
    )
}
LETTERS = ("A", "B", "C", "D")


def formats_of(relation: Relation) -> tuple[str, ...]:
    """The formats in which facts of a relation can be asked."""
    return tuple(key for key, form in FORMATS.items() if form.asks(relation))


def prompt(fact: Fact, form: PromptFormat, rotation: int = 0) -> Prompt:
    """Ask ``fact`` in a format. ``rotation`` shifts options that are listed, in its demonstrations too.

    Raises :class:`FactError` if the relation lacks the wording, the answer is not among its options, or ``form`` is no format.
    """
    if not checks.is_a(form, PromptFormat):
        raise FactError(f"{shown(form)} is no format{meant(form, FORMATS)}: give FORMATS['one_shot'], or another of {', '.join(FORMATS)}")
    relation = relation_of(fact)
    for word in (fact.answer, fact.target):
        if word is not None and relation.options is not None and word not in relation.options:
            raise FactError(f"{fact.subject}: '{word}' is none of {', '.join(relation.options)}")
    if form.lists and relation.options is None:
        raise FactError(f"the relation '{relation.key}' has no closed list of answers to choose from")
    if form.language is not None and not form.asks(relation):
        raise FactError(f"the relation '{relation.key}' has no words in the language of the format '{form.key}'")
    choices = relation.options or tuple(word for word in (fact.answer, fact.target) if word is not None)
    lines: list[str] = []
    # Demonstrations rotate differently from the question, so that neither letter nor place is given away.
    for number, (subject, answer) in enumerate(relation.demonstrations[: form.shots]):
        options = _rotated(choices, rotation + 1 + number)
        lines.append(f"{_line(relation, form, subject, options)[0]} {_spoken(form, answer, options)}")
    options = _rotated(choices, rotation)
    line, behind = _line(relation, form, fact.subject, options)
    return Prompt(
        text="\n".join([*lines, line]),
        fact=fact,
        format=form.key,
        options=tuple(f" {_spoken(form, option, options)}" for option in choices),
        answer=f" {_spoken(form, fact.answer, options)}",
        target=f" {_spoken(form, fact.target, options)}" if fact.target else None,
        rotation=rotation,
        open=relation.options is None,
        behind=behind,
        translated=form.language is not None,
    )


def prompts(facts: Sequence[Fact], form: PromptFormat, rotations: int = 1) -> list[Prompt]:
    """One prompt a fact, or ``rotations`` a fact where options are listed.

    With fewer rotations than options the facts take turns, so every letter, or place, is right equally often. Errors as of
    :func:`prompt`, and :class:`mechlib.checks.ParameterError` without a rotation.
    """
    checks.whole("rotations", rotations, least=1)
    if not checks.is_a(form, PromptFormat) or not form.lists:
        return [prompt(fact, form) for fact in facts]
    return [prompt(fact, form, (number + turn) % len(LETTERS)) for number, fact in enumerate(facts) for turn in range(rotations)]


def neighbourhood(fact: Fact, among: Iterable[Fact], form: PromptFormat) -> list[Prompt]:
    """Prompts about other subjects with the same answer: an edit of ``fact`` should not move them (CounterFact).

    A fact that brings such texts is asked in them: they do not say where their subject is, so they cannot be traced. For others,
    ``among`` is searched for the same relation and answer. Their edit target is that of ``fact``.
    """
    if fact.neighbourhood:
        own = prompt(fact, FORMATS["statement"])
        # Such a text names another subject and does not say which.
        return [replace(own, text=text, format=NEIGHBOURHOOD, behind=None) for text in fact.neighbourhood]
    others = [other for other in among if (other.relation, other.answer) == (fact.relation, fact.answer) and other.subject != fact.subject]
    return [replace(prompt(replace(other, target=fact.target), form), format=NEIGHBOURHOOD) for other in others]


def _rotated(options: tuple[str, ...], by: int) -> tuple[str, ...]:
    shift = by % len(options)
    return options[shift:] + options[:shift]


def _spoken(form: PromptFormat, answer: str, options: tuple[str, ...]) -> str:
    if form.language is not None:
        return form.language.word(answer)
    return LETTERS[options.index(answer)] if form.letters else answer


def _line(relation: Relation, form: PromptFormat, subject: str, options: tuple[str, ...]) -> tuple[str, int]:
    """The question without spaces at its end, where the answer brings its own, and how many characters follow the subject."""
    lettered = "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False))
    listed = lettered if form.letters else ", ".join(options)
    said = replace(relation, wordings={"statement": form.language.statement}) if form.language else relation
    text, end = "", 0
    for literal, name, _, _ in Formatter().parse(form.line):
        text += literal
        if name and name != "options":
            worded, here = said.worded(name, subject)
            end = len(text) + here
            text += worded
        elif name:
            text += listed
    return text.rstrip(), len(text.rstrip()) - end
