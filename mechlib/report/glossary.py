"""What each measure of the book means, and which way is good: ``book/measures.toml``."""

from __future__ import annotations

from functools import cache
from typing import Literal

import pandas as pd
from pydantic import Field, model_validator

from mechlib.report.typed import Typed, book_folder, read_typed

_GOOD = {"higher": "higher is better", "lower": "lower is better", "neither": "neither: it describes"}


class Measure(Typed):
    """One measure: its name, how tables and axes print it, its unit, what it says, and which way is good for an edit."""

    name: str = Field(min_length=1)
    printed: list[str] = Field(min_length=1)
    unit: str = Field(min_length=1)
    says: str = Field(min_length=20)
    good: Literal["higher", "lower", "neither"]


class Measures(Typed):
    """All measures, and ``labels``: what tables and axes print that measures nothing."""

    labels: list[str]
    measure: list[Measure] = Field(min_length=1)

    @model_validator(mode="after")
    def _printed_once(self) -> Measures:
        printed = [*self.labels, *(text for one in self.measure for text in one.printed)]
        twice = sorted({text for text in printed if printed.count(text) > 1})
        if twice or len({one.name for one in self.measure}) < len(self.measure):
            raise ValueError(f"explained twice: {', '.join(twice) or 'a measure'}")
        return self


@cache
def measures() -> Measures:
    """The glossary of the book; raises :class:`mechlib.report.typed.TypedError`."""
    return read_typed(book_folder() / "measures.toml", Measures)


def glossary(found: Measures) -> pd.DataFrame:
    """The measures for readers, in the order of their names."""
    return pd.DataFrame([
        {"measure": one.name, "says": one.says, "unit": one.unit, "good": _GOOD[one.good], "printed as": "; ".join(one.printed)}
        for one in sorted(found.measure, key=lambda one: one.name.lower())
    ])  # fmt: skip
