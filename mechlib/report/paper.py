"""A map of the paper: each of its results in its order, with its number, the released runs' and ours (``book/paper.toml``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Literal

import pandas as pd
from pydantic import Field, model_validator

from mechlib.components import Localization
from mechlib.report.aggregation import FACT, fact_values, mean_over_sets
from mechlib.report.gates import Evidence
from mechlib.report.judged import Judged
from mechlib.report.published import published, published_probes, published_relearning
from mechlib.report.tables import label
from mechlib.report.typed import Typed, book_folder, read_typed
from mechlib.report.verdicts import DESCRIPTIVE, NOT_RUN, Line

# Of which localizations numbers are shown side by side, where there are some.
SHOWN = ("fact_lookup", "causal_tracing", "random_mlps", "all_mlps", "nonlocalized")


class Asked(Typed):
    """A mean of rows by localization: of a ``group`` asked in one ``format`` ("trained": that of the edits), or after relearning.

    ``column``: ``probability`` (of the true answer), ``target_probability``, ``correct`` or ``edited``.
    """

    group: Literal["forget", "maintain"]
    column: Literal["probability", "target_probability", "correct", "edited"]
    format: str = "trained"
    relearned: bool = False


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


def paper_map(
    found: Paper, drawn: Mapping[str, Sequence[Line]], ours: Mapping[str, Judged], titles: Mapping[str, str]
) -> pd.DataFrame:
    """One line an item, for readers.

    ``drawn``: by claim, its comparisons; ``ours``: by task, what was run; ``titles``: the pages' names in words.
    """
    return pd.DataFrame([
        {"where": f"{one.section}:\n{one.place}", "what": one.shows, "the paper": one.paper, "released runs": _released(one),
         "here": _ours(one, drawn, ours, titles), "why they differ": one.why}
        for one in found.item
    ])  # fmt: skip


def differences(found: Paper) -> pd.DataFrame:
    """Where paper, released code and profile ``paper`` are not alike, for readers."""
    return pd.DataFrame([
        {"about": one.about, "the paper": one.paper, "its code": one.code, "profile paper here": one.here} for one in found.difference
    ])  # fmt: skip


def _released(item: Item) -> str:
    if item.numbers is None or item.task is None:
        return item.released or ""
    if item.numbers.table == "probes":
        table = published_probes(SHOWN)
    else:
        table = published(item.task, SHOWN) if item.numbers.table == "answers" else published_relearning(item.task)
    values: dict[str, float] = dict(zip(table["localization"], table[item.numbers.column], strict=True))
    return "\n".join(f"{label(key)} {_plain(values[label(key)])}" for key in SHOWN)


def _ours(item: Item, drawn: Mapping[str, Sequence[Line]], ours: Mapping[str, Judged], titles: Mapping[str, str]) -> str:
    if item.not_testable:
        return f"not testable here, because {item.not_testable}"
    said: list[str] = []
    for lines in (own for key, own in drawn.items() if key in item.claims):
        told = [_verdict(one) for one in lines if one.verdict not in (NOT_RUN, DESCRIPTIVE)]
        said += told or [lines[0].verdict]
    own = ours[item.task].evidence if item.task and item.task in ours else None
    if item.asked:
        said += (own and _means(item.asked, own)) or [NOT_RUN]
    if item.layers_of:
        said += (own and _layers(item.layers_of, own)) or [NOT_RUN]
    said += [f"page {titles[name]}" for name in item.pages]
    return "\n".join(dict.fromkeys(said))


def _verdict(one: Line) -> str:
    gap = f" {one.odds.difference} nats, {one.odds.n_sets} sets" if one.odds else ""
    return f"minus {label(one.rival)}{gap}: {one.verdict}"


def _means(asked: Asked, found: Evidence) -> list[str]:
    means: list[str] = []
    for key in [key for key in SHOWN if key in found.arms]:
        if asked.relearned:
            own = found.attacked(key, asked.group, found.last) if found.relearning else ()
        else:
            form = found.trained if asked.format == "trained" else asked.format
            own = found.asked(key, asked.group, [form])
        values = fact_values([row for row in own if row[asked.column] is not None], asked.column, FACT)
        means += [f"{label(key)} {_plain(mean_over_sets(values))}"] if values else []
    return means


def _layers(key: str, found: Evidence) -> list[str]:
    """What a localization trains, once for each choice that forget sets made."""
    chosen = dict.fromkeys(_in_words(one) for one in found.trains.get(key, {}).values())
    return list(chosen)


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
    return f"{value:.3f}"
