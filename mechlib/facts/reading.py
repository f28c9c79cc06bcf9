"""Rows of a user's file: CSV (commas, semicolons or tabs), JSON, JSON lines or parquet. What is plain is read, all else is one line.

Names decide what a model is asked, so nothing is guessed: a file is UTF-8, or UTF-16 that says so.
"""

from __future__ import annotations

import ast
import codecs
import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

from mechlib.facts.fact import FactError

SEPARATORS = (",", ";", "\t", "|")
_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
# All that a parser or a literal can raise: what is nested too deeply ends in the last two.
_UNREADABLE = (ValueError, SyntaxError, TypeError, AttributeError, KeyError, IndexError, csv.Error, MemoryError, RecursionError)
# A list of texts as Python, JSON or numpy writes it: strings in quotes, and between them nothing but commas and spaces.
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
_AROUND = re.compile(r"(array\()?\[[\s,]*\](,\s*dtype=\w+)?\)?")


@dataclass(frozen=True)
class Row:
    """One row by its columns' names, in lower case; ``where`` is its place in the file."""

    where: str
    cells: Mapping[str, Any]


def plain(entry: Any) -> str:
    """An entry as text, each run of spaces as one; see :func:`written`."""
    return " ".join(written(entry).split())


def written(entry: Any) -> str:
    """An entry as text. A missing one is empty; raises :class:`FactError` for what no text can be: a list, a mapping, half a character."""
    if entry is None or (isinstance(entry, float) and entry != entry):
        return ""
    if not isinstance(entry, str | int | float):
        raise FactError(f"{_shortened(entry)} is no text")
    try:
        found = str(entry)
        found.encode()
    except ValueError:
        raise FactError("a number is too long, or a character is half of one") from None
    if "\0" in found:
        raise FactError(f"{_shortened(found)} holds a null character")
    return found


def texts(entry: Any) -> list[str]:
    """Texts of an entry: a list, or one written out by Python, JSON or numpy, or a single text. Raises :class:`FactError`."""
    if not isinstance(entry, str):
        listed = entry.tolist() if hasattr(entry, "tolist") else entry
        found = listed if isinstance(listed, list | tuple) else [listed]
        return [text for one in found if (text := written(one)).strip()]
    text = written(entry).strip()
    if not text.startswith(("[", "array([")):
        return [text] if text else []
    if not _AROUND.fullmatch(_QUOTED.sub("", text)):
        raise FactError(f"the list {_shortened(text)} cannot be read: write it as JSON")
    return [one for quoted in _QUOTED.findall(text) if (one := written(literal(quoted))).strip()]


def literal(text: str) -> Any:
    """A value written in JSON or as a Python literal; raises :class:`FactError` if it is neither."""
    try:
        return json.loads(text)
    except _UNREADABLE:
        pass
    try:
        return ast.literal_eval(text)
    except _UNREADABLE as error:
        raise FactError(f"{_shortened(text)} cannot be read: {_reason(error)}") from None


def rows(path: Path, columns: Sequence[str], needed: Sequence[str] = ()) -> Iterator[Row]:
    """The rows of a file. ``columns`` that are looked for tell a CSV's separator; those ``needed`` it must have.

    By its ending a file is ``.json``, ``.jsonl``, ``.parquet``, else CSV. Raises :class:`FactError` that names the file and the place.
    """
    kind = path.suffix.lower()
    try:
        if kind == ".parquet":
            import pandas as pd

            read_parquet: Any = pd.read_parquet
            return _named(path, "row", read_parquet(path).to_dict("records"))
        text = _decoded(path)
        if kind == ".jsonl":
            return _named(path, "line", _lines(path, text))
        if kind == ".json":
            return _named(path, "row", _records(text))
    except FactError:
        raise
    # A missing library's parser, a folder, a truncated file: all mean the same to a reader.
    except Exception as error:
        raise FactError(f"{path}: cannot be read: {_reason(error)}") from None
    return _csv(path, text, {*columns, *needed}, needed)


def _decoded(path: Path) -> str:
    if path.exists() and not path.is_file():
        raise FactError(f"{path}: cannot be read: it is no file")
    content = path.read_bytes()
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8-sig")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise FactError(f"{path}, line {line}: cannot be read: it is not {encoding.removesuffix('-sig')}: save the file as UTF-8") from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise FactError(f"{path}, line {line}: cannot be read: it holds a null character: save the file as UTF-8 text")
    return text


def _csv(path: Path, text: str, looked_for: set[str], needed: Sequence[str]) -> Iterator[Row]:
    first = next(iter(text.splitlines()), "")
    # Excel's own way to name the separator.
    told = first[4:5] if first.lower().startswith("sep=") else ""
    skipped = len(first) + 1 if told else 0
    header = next(iter(text[skipped:].splitlines()), "")
    separator = told or max(SEPARATORS, key=lambda one: (_found(header, one, looked_for), header.count(one)))
    lines = csv.reader(StringIO(text[skipped:], newline=""), delimiter=separator, strict=True)
    try:
        columns = [name.strip().lower() for name in next(lines, [])]
    except csv.Error as error:
        raise FactError(f"{path}, line 1: cannot be read: {error}") from None
    missing = [name for name in needed if name not in columns]
    if missing:
        raise FactError(f"{path}: no column {' and '.join(missing)} (it has: {_shortened(', '.join(columns)) if any(columns) else 'none'})")
    twice = [one for one, other in pairwise(sorted(columns)) if one == other and one in looked_for]
    if twice:
        raise FactError(f"{path}: the column {twice[0]} stands twice")
    return _csv_rows(path, columns, lines, bool(told))


def _found(header: str, separator: str, looked_for: set[str]) -> int:
    return len({name.strip().strip('"').lower() for name in header.split(separator)} & looked_for)


def _csv_rows(path: Path, columns: Sequence[str], lines: Any, moved: bool) -> Iterator[Row]:
    number = 0
    while True:
        try:
            cells = next(lines, None)
        except csv.Error as error:
            raise FactError(f"{path}, line {lines.line_num + moved}: cannot be read: {error}") from None
        if cells is None:
            return
        if not cells:
            continue
        number += 1
        where = f"row {number}, line {lines.line_num + moved}"
        if len(cells) > len(columns):
            counted = f"{len(cells)} entries for {len(columns)} columns"
            raise FactError(f"{path}, {where}: {counted}: put an entry that holds a separator in quotes")
        yield Row(where, dict(zip(columns, cells, strict=False)))


def _records(text: str) -> list[Any]:
    """A list of objects; a mapping of columns, as pandas writes; or objects line by line under the wrong ending."""
    try:
        found: Any = json.loads(text)
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Extra data"):
            raise
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    if isinstance(found, dict) and "requested_rewrite" not in found and found:
        columns: dict[str, Any] = found
        if all(isinstance(column, dict | list) for column in columns.values()):
            own = {name: list(column.values()) if isinstance(column, dict) else column for name, column in columns.items()}
            return [dict(zip(own, cells, strict=True)) for cells in zip(*own.values(), strict=True)]
    if not isinstance(found, list):
        raise ValueError("it is no list of objects")
    return found


def _lines(path: Path, text: str) -> Iterator[Any]:
    # Only what ends a line of a file does: other separators may stand in a text.
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            yield json.loads(line) if line.strip() else None
        except _UNREADABLE as error:
            raise FactError(f"{path}, line {number}: cannot be read: {_reason(error)}") from None


def _named(path: Path, unit: str, records: Any) -> Iterator[Row]:
    for number, cells in enumerate(records, start=1):
        if cells is None and unit == "line":
            continue
        if not isinstance(cells, dict):
            raise FactError(f"{path}, {unit} {number}: {_shortened(cells)} is no object with named entries")
        named: dict[Any, Any] = cells
        yield Row(f"{unit} {number}", {str(name).strip().lower(): cell for name, cell in named.items()})


def _shortened(value: Any) -> str:
    try:
        found = " ".join(str(value).split())
    except _UNREADABLE:
        return "a value"
    return found if len(found) <= 60 else f"{found[:57]}..."


def _reason(error: BaseException) -> str:
    lines = (str(getattr(error, "strerror", None) or error)).splitlines()
    return _shortened(lines[0]) if lines else type(error).__name__
