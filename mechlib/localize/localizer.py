"""The one shape of localizations: from what was measured to components."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from mechlib.components import Architecture, Component, ComponentError
from mechlib.localize.fact_lookup import fact_lookup
from mechlib.localize.path_lookup import Rule, feeding_mlps
from mechlib.models.table import Group
from mechlib.patching.probing import ProbeRow
from mechlib.patching.scores import Scores

Lookup = Literal["probe", "paths"]


@dataclass(frozen=True)
class Measured:
    """What the model gave away about its components: the input of every localization.

    ``scores`` holds the evidence by name; that of path patching is called ``paths``. ``rule``
    decides which MLPs path patching chooses. ``given`` are the components of a file.
    """

    probe: Sequence[ProbeRow] = ()
    scores: Mapping[str, Scores] = field(default_factory=dict)
    rule: Rule = "paper"
    given: Sequence[Component] = ()

    def lookup(self, arch: Architecture) -> tuple[Component, ...]:
        """Fact lookup: by probes where there are some, else by path patching.

        Raises :class:`ComponentError` if these find none or there are neither.
        """
        if self.probe:
            return fact_lookup(self.probe, arch)
        if "paths" not in self.scores:
            raise ComponentError("fact lookup needs probes or path patching, and nothing of both was measured: give Measured a probe or "
                                 "scores['paths'], or a budget to methods that only match its size")  # fmt: skip
        return feeding_mlps(self.scores["paths"].values, arch.n_layers, self.rule)


    def of(self, evidence: str) -> Scores:
        """The scores of one method; raises :class:`ComponentError` if they were not measured."""
        if evidence not in self.scores:
            raise ComponentError(f"there are no scores of '{evidence}' to localize by (there are: {', '.join(self.scores) or 'none'})")
        return self.scores[evidence]


Choose = Callable[[Measured, Architecture, int, int], Sequence[Component]]


@dataclass(frozen=True)
class Localizer:
    """One method. ``choose(measured, architecture, budget, seed)`` gives the components.

    ``matched`` ones keep to fact lookup's parameter count; ``drawn`` ones are drawn anew for every forget set and seed.
    """

    key: str
    label: str
    group: Group
    evidence: str | None
    choose: Choose
    matched: bool = True
    drawn: bool = False
