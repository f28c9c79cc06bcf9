"""A map of the paper: each of its results in its order, with its number, the released runs' and ours (``book/paper.toml``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import pandas as pd
from pydantic import Field, model_validator

from mechlib.components import Localization
from mechlib.report import numerals
from mechlib.report.aggregation import FACT, Rows, fact_values, grouped, mean_over_sets
from mechlib.report.card import count
from mechlib.report.front import Decided
from mechlib.report.gates import Evidence
from mechlib.report.judged import Judged
from mechlib.report.published import published, published_probes, published_relearning
from mechlib.report.tables import label, named
from mechlib.report.typed import Typed, book_folder, read_typed
from mechlib.report.verdicts import NOT_RUN, Line
from mechlib.runs.study import Study

# Of which localizations numbers are shown side by side, where there are some.
SHOWN = ("fact_lookup", "causal_tracing", "random_mlps", "all_mlps", "nonlocalized")
# What the columns of the published tables are, and ours. Nearly all of the authors' numbers are mean probabilities.
_COLUMNS = {"probability": "mean probability of the true answer", "target_probability": "mean probability of the edit target",
            "correct": "share of true answers", "edited": "share of edit targets"}  # fmt: skip
_TRUE, _TARGET = _COLUMNS["probability"], _COLUMNS["target_probability"]
RELEASED = {
    ("answers", "forget"): f"{_TRUE}, trained prompt", ("answers", "maintain"): f"facts to maintain: {_TRUE}, trained prompt",
    ("answers", "edit"): _TARGET, ("answers", "letter choice: edit"): f"{_TARGET}, by letters",
    ("answers", "letter choice: true"): f"{_TRUE}, by letters",
    ("relearning", "forget relearned"): f"half that was not taught: {_TRUE}, after relearning",
    ("relearning", "forget soft prompt"): f"half that was not taught: {_TRUE}, behind a soft prompt",
    ("probes", "true answer"): "probes: true answer, mean over layers",
}  # fmt: skip


_BEHIND = {"soft_prompt": "half that was not taught, behind a soft prompt"}


class Asked(Typed):
    """A mean of rows by localization: of a ``group`` asked in one ``format`` ("trained": that of the edits), after an ``attack`` or none.

    ``column``: ``probability`` (of the true answer), ``target_probability``, ``correct`` or ``edited``.
    """

    group: Literal["forget", "maintain"]
    column: Literal["probability", "target_probability", "correct", "edited"]
    format: str = "trained"
    attack: Literal["soft_prompt"] | None = None

    @property
    def need(self) -> str:
        """What a study must have run for it, if not all formats were asked."""
        return self.attack or "trained"


class Released(Typed):
    """A column of :mod:`mechlib.report.published`, where the released runs' numbers are typed."""

    table: Literal["answers", "relearning", "probes"]
    column: str


class Item(Typed):
    """One result of the paper.

    Ours is a verdict (``claims``), a mean (``asked``), layers (``layers_of``), or on ``pages``; or it is not testable here, and why.
    """

    section: str = Field(min_length=1)
    place: str = Field(min_length=1)
    shows: str = Field(min_length=10)
    paper: str = Field(min_length=1)
    released: str | None = None
    numbers: Released | None = None
    task: str | None = None
    claims: list[str] = []
    asked: Asked | None = None
    layers_of: str | None = None
    pages: list[str] = []
    not_testable: str | None = Field(default=None, min_length=20)
    why: str = Field(min_length=10)

    @model_validator(mode="after")
    def _is_answered(self) -> Item:
        ours = bool(self.claims or self.asked or self.layers_of or self.pages)
        if ours == bool(self.not_testable):
            raise ValueError(f"'{self.shows}': say where ours is, or why it cannot be had, and not both")
        if (self.asked or self.layers_of or self.numbers) and not self.task:
            raise ValueError(f"'{self.shows}': numbers need their task")
        if (self.released is None) == (self.numbers is None):
            raise ValueError(f"'{self.shows}': the released runs' number is typed, or a column of the published tables")
        if self.numbers and (self.numbers.table, self.numbers.column) not in RELEASED:
            raise ValueError(f"'{self.shows}': say in RELEASED what column {self.numbers.column} is a measure of")
        return self


class Difference(Typed):
    """Something that is not alike: in the paper, in its released code, and in profile ``paper`` here."""

    about: str = Field(min_length=1)
    paper: str = Field(min_length=1)
    code: str = Field(min_length=1)
    here: str = Field(min_length=1)


class Paper(Typed):
    """The whole file."""

    item: list[Item] = Field(min_length=1)
    difference: list[Difference] = Field(min_length=1)


@cache
def mapped() -> Paper:
    """The map of the book; raises :class:`mechlib.report.typed.TypedError`."""
    return read_typed(book_folder() / "paper.toml", Paper)


@dataclass(frozen=True)
class Told:
    """A part of a cell: ``lines``, and what they are (``about``); ``long``: they may be folded away behind it.

    ``page``: the page that it is from, by name or by folder and name, or "".
    """

    about: str
    lines: tuple[str, ...] = ()
    long: bool = False
    page: str = ""


@dataclass(frozen=True)
class Row:
    """One item for readers, with the released runs' numbers and what this book has for it."""

    item: Item
    released: Told
    here: tuple[Told, ...]


@dataclass(frozen=True)
class Ours:
    """What this book has: ``drawn``, by claim, how it stands; by task, what was run (``judged``); the rows of other needs, by need and task
    (``rows``); and the pages' names in words (``titles``).
    """

    drawn: Mapping[str, Decided]
    judged: Mapping[str, Judged]
    titles: Mapping[str, str]
    rows: Mapping[str, Mapping[str, tuple[Study, Rows]]] = field(default_factory=dict)

    def asked(self, one: Asked, task: str) -> tuple[Study, Rows] | None:
        """The rows that a mean is of, and of which study, if they are there."""
        if task in self.judged and not one.attack:
            return self.judged[task].study, self.judged[task].evidence.prompting
        return self.rows.get(one.need, {}).get(task)


def needs(found: Paper) -> set[str]:
    """What means are of, beside the answers that verdicts rest on."""
    return {one.asked.need for one in found.item if one.asked}


def paper_map(found: Paper, ours: Ours) -> list[Row]:
    """One row an item."""
    return [Row(one, _released(one), tuple(dict.fromkeys(_ours(one, ours)))) for one in found.item]


def differences(found: Paper) -> pd.DataFrame:
    """Where paper, released code and profile ``paper`` are not alike, for readers."""
    return pd.DataFrame([
        {"about": one.about, "the paper": one.paper, "its code": one.code, "profile paper here": one.here} for one in found.difference
    ])  # fmt: skip


def _released(item: Item) -> Told:
    if item.numbers is None or item.task is None:
        return Told(item.released or "")
    if item.numbers.table == "probes":
        table = published_probes(SHOWN)
    else:
        table = published(item.task, SHOWN) if item.numbers.table == "answers" else published_relearning(item.task)
    values: dict[str, float] = dict(zip(table["localization"], table[item.numbers.column], strict=True))
    lines = tuple(f"{label(key)} {_plain(values[label(key)])}" for key in SHOWN)
    return Told(RELEASED[item.numbers.table, item.numbers.column], lines)


def _ours(item: Item, ours: Ours) -> Iterator[Told]:
    if item.not_testable:
        yield Told(f"not testable here, because {item.not_testable}")
    yield from (_claim(ours.drawn[key]) for key in item.claims if key in ours.drawn)
    if item.asked:
        yield _mean(item.asked, ours.asked(item.asked, item.task or ""))
    if item.layers_of:
        own = ours.judged.get(item.task or "")
        layers = _layers(item.layers_of, own.evidence) if own else ()
        yield Told(f"trained ({_made_with(own.study)})", layers) if own and layers else Told(NOT_RUN)
    yield from (Told(ours.titles[name], page=name) for name in item.pages)


def _claim(one: Decided) -> Told:
    """A claim by its sentence, how it stands and by which study; then each of its comparisons that was run."""
    by = f" ({_made_with(one.study)})" if one.study else ""
    lines = tuple(_verdict(line) for line in one.standing.lines if line.odds)
    page = f"{one.page.parent.name}/{one.page.stem}" if one.page else ""
    return Told(f"{one.standing.claim.sentence.rstrip('.')}: {one.verdict}{by}", lines, long=True, page=page)


def _made_with(study: Study) -> str:
    return f"{study.profile}, {count(study.size.n_sets, 'forget set')}"


def _verdict(one: Line) -> str:
    gap = f" {one.odds.difference}{one.claim.unit}, {count(one.odds.n_sets, 'set')}" if one.odds else ""
    return f"minus {named(one.rival)}{gap}: {one.verdict}"


def _mean(asked: Asked, found: tuple[Study, Rows] | None) -> Told:
    """The means of an item, by localization; after an attack, those of its last step."""
    if found is None:
        return Told(NOT_RUN)
    study, rows = found
    form = study.trained_format if asked.format == "trained" else asked.format
    own = [row for row in rows if (row["group"], row["format"]) == (asked.group, form) and row[asked.column] is not None]
    last = max((row.get("step", 0) for row in own), default=0)
    ended = [row for row in own if row.get("step", 0) == last]
    # Not all forget sets of a study are attacked.
    made_with = f"{study.profile}, {count(len({row['forget_set'] for row in ended}), 'forget set')}"
    by_arm = grouped(ended, ["localization"])
    values = {key: fact_values(by_arm[key,], asked.column, FACT) for key in SHOWN if (key,) in by_arm}
    means = tuple(f"{label(key)} {_plain(mean_over_sets(of_arm))}" for key, of_arm in values.items())
    return Told(f"{_measure(asked)} ({made_with})", means) if means else Told(NOT_RUN)


def _measure(asked: Asked) -> str:
    """What the means of an item are of, in words."""
    facts = "facts to maintain: " if asked.group == "maintain" else ""
    form = "trained prompt" if asked.format == "trained" else named(asked.format)
    return f"{facts}{_COLUMNS[asked.column]}, {form}{f', {_BEHIND[asked.attack]}' if asked.attack else ''}"


def _layers(key: str, found: Evidence) -> tuple[str, ...]:
    """What a localization trains, once for each choice that forget sets made."""
    return tuple(dict.fromkeys(_in_words(one) for one in found.trains.get(key, {}).values()))


def _in_words(found: Localization) -> str:
    kinds = {"MLPs": ("mlp", "neuron"), "attention": ("attn", "head", "kv")}
    layers = {name: sorted({one.layer for one in found.components if one.kind in own}) for name, own in kinds.items()}
    return "; ".join(f"{name} {_ranges(own)}" for name, own in layers.items() if own)


def _ranges(numbers: Sequence[int]) -> str:
    """``3-7, 9``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _plain(value: float) -> str:
    return numerals.decimal(value, 3)
