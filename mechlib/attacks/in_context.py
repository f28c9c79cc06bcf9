"""Do true facts in the prompt bring back another that was edited? The weights stay as they are.

Demonstrations block the form of an edit, such as "whatever is asked like this gets another answer".
The fact asked is never among them: a model that repeats its context has remembered nothing.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from mechlib.attacks.attack import Attack, Attacked, Knowledge
from mechlib.facts import FORMATS, FactError, Prompt, prompt
from mechlib.models.language_model import LanguageModel


def in_context(model: LanguageModel, knowledge: Knowledge, seed: int, *, shots: Sequence[int]) -> Iterator[Attacked]:
    """The model asked after so many true facts, one a line; fewer are the first of more.

    Answers are as balanced as the facts allow, and their sequence is the same whatever is asked: the
    demonstrations tell nothing about the answer. Facts to relearn come before facts to retain. Raises
    :class:`FactError` if there are too few facts, one to spare included.
    """
    if not shots:
        raise FactError("in context: give at least one number of shots")
    order = _order(knowledge, seed)
    for count in shots:
        if not 0 <= count <= max(len(order) - 1, 0):
            raise FactError(f"{count} demonstrations: there are facts for 0 to {max(len(order) - 1, 0)}, and one to spare")
    for count in shots:
        yield Attacked(f"{count} shots", 0, model, partial(_demonstrated, order, count))


def _order(knowledge: Knowledge, seed: int) -> list[Prompt]:
    """One prompt a subject, in rounds: in each round every answer once, in random order.

    An answer's facts to relearn have its first turns. Where answers are open, no list of them could be
    balanced: facts to relearn then come first within a round, too.
    """
    generator, turns = random.Random(seed), Counter[str]()
    placed: dict[str, tuple[int, bool, float, Prompt]] = {}
    for kept, part in enumerate((knowledge.relearn, knowledge.retain)):
        drawn = sorted(part, key=lambda one: (one.fact.subject, one.text))
        generator.shuffle(drawn)
        for one in drawn:
            if one.fact.subject not in placed:
                placed[one.fact.subject] = (turns[one.fact.answer], one.open and bool(kept), generator.random(), one)
                turns[one.fact.answer] += 1
    return [one for *_, one in sorted(placed.values(), key=lambda place: place[:3])]


def _demonstrated(order: Sequence[Prompt], count: int, asked: Prompt) -> Prompt:
    """A prompt after the first demonstrations. One about its own subject is replaced by the next with the same answer, if there is one."""
    first, spare = order[:count], order[count:]
    chosen = [one if one.fact.subject != asked.fact.subject else _stand_in(one, spare) for one in first]
    return replace(asked, text="\n".join([*map(_line, chosen), asked.text]))


def _stand_in(one: Prompt, spare: Sequence[Prompt]) -> Prompt:
    return next((other for other in spare if other.fact.answer == one.fact.answer), spare[0])


def _line(one: Prompt) -> str:
    """A fact in its prompt's own format, without the format's demonstrations, and its true answer."""
    bare = prompt(one.fact, replace(FORMATS[one.format], shots=0), one.rotation)
    return f"{bare.text}{bare.answer}"


IN_CONTEXT = Attack(
    "in_context", "In-context demonstrations", 1, in_context,
    "True facts stand before the question, those of one half of the forget set first; asked about the other half.",
    {"quick": {"shots": [4]}, "full": {"shots": [4, 8]}},
    folds=True, seconds=1.5,
)  # fmt: skip
