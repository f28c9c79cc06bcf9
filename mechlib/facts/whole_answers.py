"""Splits for tasks that forget a whole answer: every athlete of one sport, as in the paper's Full-Sports-Editing."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace

from mechlib import checks
from mechlib.facts.fact import Fact, FactError, FactSet, Splits, by_answer, one_each, stratified_order

# One fact in so many is not trained on: does an edit of a sport reach athletes that it never saw?
HELD_OUT_EVERY = 4


def split_by_answer(
    known: FactSet,
    *,
    n_sets: int,
    n_localize: int,
    n_test: int,
    seed: int,
    target: str | None,
    n_validate: int = 0,
    exclude: Iterable[str] = (),
) -> Splits:
    """One forget set an answer, in alphabetical order: three quarters of its facts to edit, a quarter held out.

    ``target`` is what all of them are edited to (``None``: they are unlearned). Seeded; test and
    localize parts are balanced over the answers and share no fact with any other part. Facts whose
    answer is the target are kept, not edited. Raises :class:`FactError` if the model knows too few facts,
    and :class:`mechlib.checks.ParameterError` for a count that is none.
    """
    for name, count, least in (("n_sets", n_sets, 1), ("n_localize", n_localize, 0), ("n_test", n_test, 0), ("n_validate", n_validate, 0)):
        checks.whole(name, count, least)
    generator = random.Random(seed)
    order = stratified_order(one_each(known, exclude), generator)
    test, localize, validate, rest = (
        order[:n_test],
        order[n_test : n_test + n_localize],
        order[n_test + n_localize : n_test + n_localize + n_validate],
        order[n_test + n_localize + n_validate :],
    )
    groups = by_answer(fact for fact in rest if fact.answer != target)
    fewest = min(groups, key=lambda answer: len(groups[answer]), default=None)
    if fewest is None or len(groups) < 2 or len(groups[fewest]) < HELD_OUT_EVERY:
        left = f", of which {len(groups[fewest])} with the answer '{fewest}' are left" if fewest else ""
        raise FactError(
            f"the model knows {len(order)} facts{left}: too few to forget a whole answer, with {n_localize} facts to localize, {n_test} to "
            f"test and {n_validate} to validate: ask for fewer, or lower KNOWN_THRESHOLD"
        )
    forget: list[FactSet] = []
    held_out: list[FactSet] = []
    for answer, facts in list(groups.items())[:n_sets]:
        shuffled = [replace(fact, target=target) for fact in facts]
        generator.shuffle(shuffled)
        kept = shuffled[::HELD_OUT_EVERY]
        held_out.append(FactSet(f"held out {answer}", tuple(kept)))
        forget.append(FactSet(f"forget {answer}", tuple(fact for fact in shuffled if fact not in kept)))

    def part(name: str, facts: Iterable[Fact]) -> FactSet:
        return FactSet(name, tuple(facts))

    aimed = part("validate", (replace(fact, target=target) for fact in validate if fact.answer != target))
    maintain = part("maintain train", rest), part("maintain test", test)
    return Splits(tuple(forget), *maintain, part("localize", localize), aimed, tuple(held_out))
