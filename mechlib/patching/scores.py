"""Scores: one number per component, and how much of the effect there was to explain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mechlib.components import Component


@dataclass(frozen=True)
class Scores:
    """Effect of each component on the logit difference, as a share of what the corruption did.

    ``clean`` and ``corrupted`` are the mean logit differences of the two runs; a score of 1 means
    that patching this component alone moves the logit difference all the way between them.
    """

    method: str
    values: Mapping[Component, float]
    clean: float
    corrupted: float

    def to_json(self) -> dict[str, Any]:
        """A dictionary that :meth:`from_json` reads back to an equal value."""
        values = {str(component): value for component, value in self.values.items()}
        return {"method": self.method, "values": values, "clean": self.clean, "corrupted": self.corrupted}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Scores:
        """Inverse of :meth:`to_json`."""
        values = {Component.parse(name): float(value) for name, value in data["values"].items()}
        return cls(data["method"], values, data["clean"], data["corrupted"])
