"""Tables of facts: the one shipped with the project and any CSV of the same form.

The shipped table (``athletes.csv``) was written for this project. The table published with the
paper (columns ``athlete`` and ``sport`` among others) loads through the same function from its path.
"""

from __future__ import annotations

import csv
from pathlib import Path

from mechlib.facts.fact import Fact, FactError, FactSet

SHIPPED = Path(__file__).with_name("athletes.csv")
SPORTS = ("baseball", "basketball", "football")


def athletes(path: Path | None = None) -> FactSet:
    """Athletes and their sports from a CSV with columns ``athlete`` and ``sport``.

    Raises :class:`FactError` for a missing file or column, an empty or multi-word answer, an
    athlete that appears twice, or one with two sports; the message names the line.
    """
    source = path or SHIPPED
    try:
        with source.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            columns = reader.fieldnames or ()
            missing = [name for name in ("athlete", "sport") if name not in columns]
            if missing:
                raise FactError(f"{source}: no column {' and '.join(missing)} (it has: {', '.join(columns) or 'none'})")
            rows = [(reader.line_num, row["athlete"] or "", row["sport"] or "") for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FactError(f"{source}: cannot be read: {error}") from None
    seen: dict[str, str] = {}
    facts: list[Fact] = []
    for line, athlete, sport in rows:
        subject, answer = athlete.strip(), sport.strip()
        if not subject or not answer:
            raise FactError(f"{source}, line {line}: the {'athlete' if not subject else 'sport'} is empty")
        if len(answer.split()) > 1:
            raise FactError(f"{source}, line {line}: '{answer}' is more than one word; an answer is one token")
        if subject in seen:
            clash = "appears twice" if seen[subject] == answer else f"is in {seen[subject]} and in {answer}"
            raise FactError(f"{source}, line {line}: {subject} {clash}; keep one line for each athlete")
        seen[subject] = answer
        facts.append(Fact(subject, "sport", answer))
    if not facts:
        raise FactError(f"{source}: no rows")
    return FactSet(source.stem, tuple(facts))
