"""Tables of athletes: the one shipped with the project and any file of the same form.

The shipped table (``athletes.csv``) was written for this project. The table published with the
paper (columns ``athlete`` and ``sport`` among others) loads through the same function from its path.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mechlib.facts.fact import Fact, FactError, FactSet
from mechlib.facts.reading import Row, plain, rows

SHIPPED = Path(__file__).with_name("athletes.csv")
COLUMNS = ("athlete", "sport")
SPORTS = ("baseball", "basketball", "football")


def athletes(path: Path | str | None = None) -> FactSet:
    """Athletes and their sports from a file with columns ``athlete`` and ``sport`` (see :mod:`mechlib.facts.reading`).

    Raises :class:`FactError` for a missing file or column, an empty or multi-word answer, an
    athlete that appears twice, or one with two sports; the message names the line.
    """
    source = SHIPPED if path is None else Path(path).expanduser()
    seen: dict[str, str] = {}
    facts: list[Fact] = []
    for row in rows(source, COLUMNS, needed=COLUMNS):
        try:
            fact = _fact(row, seen)
        except FactError as error:
            raise FactError(f"{source}, {row.where}: {error}") from None
        seen[fact.subject] = fact.answer
        facts.append(fact)
    if not facts:
        raise FactError(f"{source}: no rows")
    return FactSet(source.stem, tuple(facts))


def _fact(row: Row, seen: Mapping[str, str]) -> Fact:
    found = {name: plain(row.cells.get(name)) for name in COLUMNS}
    for name, entry in found.items():
        if not entry:
            raise FactError(f"the {name} is empty")
    if " " in found["sport"]:
        raise FactError(f"'{found['sport']}' is more than one word; an answer is one token")
    fact = Fact(found["athlete"], "sport", found["sport"])
    if fact.subject in seen:
        clash = "appears twice" if seen[fact.subject] == fact.answer else f"is in {seen[fact.subject]} and in {fact.answer}"
        raise FactError(f"{fact.subject} {clash}; keep one line for each athlete")
    return fact
