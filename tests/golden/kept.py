"""What is kept of a case and how it is compared: columns of a sample of its rows, means over all of them, and its value."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mechlib.runs.spec import RunSpec
from mechlib.runs.work import Result
from tests.golden.versions import names, versions

ROWS, SPREAD = Path(__file__).with_name("rows"), Path(__file__).with_name("spread.json")
MOST = 12
DIGITS = 6
# A leaf that machines need not agree on: it is kept as this and not compared (see tests/golden/write.py).
LOOSE = "*"
FLOOR, FACTOR = 1e-5, 10.0

Columns = Mapping[str, list[Any]]


@dataclass(frozen=True)
class Kept:
    """A case's outcome: ``rows`` and ``value`` are columns by their path, ``means`` those of absolute numbers over all rows."""

    case: str
    stage: str
    versions: Mapping[str, int]
    count: int
    rows: Columns
    means: Columns
    value: Columns

    def columns(self) -> dict[str, list[Any]]:
        """Everything that is compared."""
        named = {"rows": self.rows, "means": self.means, "value": self.value}
        return {"count": [self.count]} | {f"{part}: {name}": column for part, columns in named.items() for name, column in columns.items()}


def kept(case: str, spec: RunSpec, result: Result) -> Kept:
    """What is kept of a result: at most ``MOST`` rows, evenly spread, in full precision."""
    rows = list(result.rows)
    picked = sorted({round(place * (len(rows) - 1) / (MOST - 1)) for place in range(MOST)}) if rows else []
    keys = list(dict.fromkeys(key for row in rows for key in row))
    sample = {key: list(_leaves([rows[at].get(key) for at in picked])) for key in keys}
    means = {key: [sum(map(abs, found)) / len(found)]
             for key in keys if (found := [leaf for row in rows for leaf in _leaves(row.get(key)) if isinstance(leaf, float)])}  # fmt: skip
    return Kept(case, names(spec), versions(spec), len(rows), sample, means, dict(_flat("", dict(result.value))))


def _leaves(cell: Any) -> Iterator[Any]:
    if isinstance(cell, Mapping):
        yield from _leaves([*cell, *cell.values()])
    elif isinstance(cell, list | tuple):
        for one in cell:
            yield from _leaves(one)
    else:
        yield cell


def _flat(path: str, node: Any) -> Iterator[tuple[str, list[Any]]]:
    """Columns of a value: numbers that stand side by side are one column, for they have one scale."""
    numbers = isinstance(node, Mapping) and node and all(isinstance(one, float) for one in node.values())
    if numbers or not isinstance(node, Mapping):
        yield path, list(_leaves(node))
    else:
        for key, one in node.items():
            yield from _flat(f"{path}/{key}", one)


def rounded(found: Kept, loose: Mapping[str, list[float]] | None = None, most: float = 0.0) -> Kept:
    """Numbers to ``DIGITS`` digits; a leaf whose entry in ``loose`` is above ``most`` becomes ``LOOSE``."""

    def column(part: str, name: str, leaves: list[Any]) -> list[Any]:
        moved = (loose or {}).get(f"{part}: {name}", [0.0] * len(leaves))
        return [LOOSE if by > most else float(f"{leaf:.{DIGITS}g}") if isinstance(leaf, float) else leaf
                for leaf, by in zip(leaves, moved, strict=True)]  # fmt: skip

    def columns(part: str, found: Columns) -> Columns:
        return {name: column(part, name, leaves) for name, leaves in found.items()}

    return replace(found, rows=columns("rows", found.rows), means=columns("means", found.means), value=columns("value", found.value))


def differences(kept: Kept, found: Kept) -> dict[str, list[float]]:
    """By column, how far every leaf of ``found`` is from the kept one.

    Of a number: the share of the largest number of its column (infinite where only one of both is
    finite). Of anything else: 0 if it is the same, else infinite, as everywhere in a column of
    another length or that only one of both has. What is loose is 0.
    """
    one, other = kept.columns(), found.columns()

    def far(name: str) -> list[float]:
        alike = name in one and name in other and len(one[name]) == len(other[name])
        return _column(one[name], other[name]) if alike else [math.inf] * max(1, len(one.get(name, ())))

    return {name: far(name) for name in {**one, **other}}


def worst(kept: Kept, found: Kept) -> tuple[str, float]:
    """The column that differs most, and by how much."""
    return max(((name, max(far, default=0.0)) for name, far in differences(kept, found).items()), key=lambda one: one[1])


def _column(kept: Sequence[Any], found: Sequence[Any]) -> list[float]:
    scale = max((abs(leaf) for leaf in kept if _number(leaf) and math.isfinite(leaf)), default=0.0) or 1.0
    return [0.0 if one == LOOSE else _far(one, other, scale) for one, other in zip(kept, found, strict=True)]


def _far(one: Any, other: Any, scale: float) -> float:
    if not (isinstance(one, float) or isinstance(other, float)) or not (_number(one) and _number(other)):
        return 0.0 if one == other and isinstance(one, bool) == isinstance(other, bool) else math.inf
    if one == other or (math.isnan(one) and math.isnan(other)):
        return 0.0
    return abs(one - other) / scale if math.isfinite(one) and math.isfinite(other) else math.inf


def _number(leaf: Any) -> bool:
    return isinstance(leaf, int | float) and not isinstance(leaf, bool)


def tolerance(case: str, column: str) -> float:
    """What numbers may differ by: ``FACTOR`` times the most that cases of its stage did between processors, at least ``FLOOR``.

    Of a stage whose cases were all measured column by column it is what this column differed by, so that none hides what another shows.
    """
    found = json.loads(SPREAD.read_text(encoding="utf-8"))
    cases, columns = next((own for own in found["stages"].values() if case in own), {}), found["columns"]
    by_column = [columns[one].get(column, 0.0) for one in cases if one in columns]
    return max([FLOOR, *(FACTOR * far for far in (by_column if len(by_column) == len(cases) else cases.values()))])


def beyond(kept: Kept, found: Kept) -> tuple[str, float, float] | None:
    """Of the columns that differ by more than they may, the one that differs most: its name, by how much, and by what it may."""
    far = {name: max(leaves, default=0.0) for name, leaves in differences(kept, found).items()}
    more = [(name, by, most) for name, by in far.items() if by > (most := tolerance(kept.case, name))]
    return max(more, key=lambda one: one[1], default=None)


def path_of(case: str, rows: Path = ROWS) -> Path:
    """The file of a case's rows."""
    return rows / f"{case}.json"


def read(case: str, rows: Path = ROWS) -> Kept | None:
    """What is kept of a case, if anything is."""
    path = path_of(case, rows)
    return Kept(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def save(found: Kept, rows: Path = ROWS) -> None:
    """Keep it, one column a line."""

    def column(entry: tuple[str, list[Any]]) -> str:
        return f" {json.dumps(entry[0])}: {json.dumps(entry[1], separators=(',', ':'))}"

    def part(value: Any) -> str:
        columns = isinstance(value, dict) and any(isinstance(one, list) for one in value.values())
        return "{\n" + ",\n".join(map(column, value.items())) + "\n}" if columns else json.dumps(value)

    lines = [f'"{name}": {part(value)}' for name, value in asdict(found).items()]
    path_of(found.case, rows).write_text("{" + ",\n".join(lines) + "}\n", encoding="utf-8")
