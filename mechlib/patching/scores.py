"""Scores: one number per component, and how much of the effect there was to explain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mechlib.components import Component
from mechlib.patching.pairs import Position


@dataclass(frozen=True)
class Scores:
    """Effect of each component on the logit difference, as a share of what the corruption did.

    ``clean`` and ``corrupted`` are the mean logit differences of the two runs; a score of 1 means
    that patching this component alone moves the logit difference all the way between them.
    ``effects`` are the same in logits for each prompt, ``spans`` each prompt's difference between
    the two runs. ``positions`` divides scores over classes of token positions, where the method has
    them. ``noise``: standard deviation of the noise on the subjects' embeddings, where noise corrupted
    them, in units of what enters the first layer.
    """

    method: str
    values: Mapping[Component, float]
    clean: float
    corrupted: float
    effects: Mapping[Component, tuple[float, ...]] = field(default_factory=dict)
    spans: tuple[float, ...] = ()
    positions: Mapping[Component, Mapping[Position, float]] = field(default_factory=dict)
    noise: float | None = None

    def among(self, prompts: Sequence[int]) -> dict[Component, float]:
        """The scores that these prompts alone would have given."""
        span = sum(self.spans[number] for number in prompts)
        return {component: sum(effects[number] for number in prompts) / span for component, effects in self.effects.items()}

    def to_json(self) -> dict[str, Any]:
        """A dictionary that :meth:`from_json` reads back to an equal value."""

        def named(values: Mapping[Component, Any]) -> dict[str, Any]:
            return {str(component): value for component, value in values.items()}

        return {
            "method": self.method, "values": named(self.values), "clean": self.clean, "corrupted": self.corrupted,
            "effects": named({component: list(effects) for component, effects in self.effects.items()}),
            "spans": list(self.spans), "positions": named({component: dict(at) for component, at in self.positions.items()}),
            **({} if self.noise is None else {"noise": self.noise}),
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Scores:
        """Inverse of :meth:`to_json`."""

        def read(name: str, value: Any) -> dict[Component, Any]:
            return {Component.parse(component): value(found) for component, found in data[name].items()}

        return cls(
            data["method"], read("values", float), data["clean"], data["corrupted"], read("effects", tuple), tuple(data["spans"]),
            read("positions", dict), data.get("noise"),
        )  # fmt: skip
