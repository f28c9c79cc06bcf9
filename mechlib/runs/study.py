"""A study: its parameters, the runs that they imply, and which of these a page needs."""

from __future__ import annotations

from dataclasses import dataclass, fields

from mechlib import checks
from mechlib.runs.needs import NEEDS, Needed
from mechlib.runs.once import once
from mechlib.runs.specs.asking import Specs


@dataclass(frozen=True)
class Study(Specs):
    """What a page is opened with. Nothing is computed here."""

    def unreached(self) -> Study:
        """The same study of a model that cannot be reached now: its runs can be counted, not found or computed."""
        same = Study(**{field.name: getattr(self, field.name) for field in fields(self)})
        object.__setattr__(same, "subject", self._subject_of(self.model))
        return same

    @once
    def runs(self, need: str) -> Needed:
        """The runs that a page needs, each with the columns that identify its rows; see :mod:`mechlib.runs.needs`.

        Raises :class:`mechlib.checks.ParameterError` for a need that is not there.
        """
        return NEEDS[checks.choice("need", need, NEEDS)](self)
