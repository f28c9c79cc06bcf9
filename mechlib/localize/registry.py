"""Every localization by its key. A new method is one short file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mechlib.components import Architecture, Component, Localization, modules
from mechlib.localize.budget import take
from mechlib.localize.controls import shuffled_mlps, shuffled_modules
from mechlib.localize.fact_lookup import fact_lookup
from mechlib.localize.output_tracing import ranked
from mechlib.models.table import Group
from mechlib.patching.probing import ProbeRow
from mechlib.patching.scores import Scores

Evidence = Literal["probe", "causal_tracing", "attribution_patching"]


@dataclass(frozen=True)
class Measured:
    """What the model gave away about its components: the input of every localization."""

    probe: Sequence[ProbeRow]
    scores: Mapping[str, Scores]


@dataclass(frozen=True)
class Localizer:
    """One method of the paper. ``choose(measured, architecture, budget, seed)`` gives the components."""

    key: str
    label: str
    group: Group
    evidence: Evidence | None
    choose: Callable[[Measured, Architecture, int, int], Sequence[Component]]
    matched: bool = True


def _traced(key: Evidence, mlps_only: bool) -> Callable[[Measured, Architecture, int, int], Sequence[Component]]:
    return lambda measured, arch, budget, _: take(ranked(measured.scores[key], mlps_only), budget, arch)


LOCALIZERS = {
    method.key: method
    for method in (
        Localizer("fact_lookup", "Fact lookup", "mlps", "probe", lambda measured, arch, *_: fact_lookup(measured.probe, arch)),
        Localizer("causal_tracing", "Causal tracing", "mixed", "causal_tracing", _traced("causal_tracing", False)),
        Localizer("causal_tracing_mlps", "Causal tracing (MLPs)", "mlps", "causal_tracing", _traced("causal_tracing", True)),
        Localizer("attribution_patching", "Attribution patching", "mixed", "attribution_patching", _traced("attribution_patching", False)),
        Localizer("attribution_patching_mlps", "Attribution patching (MLPs)", "mlps", "attribution_patching",
                  _traced("attribution_patching", True)),
        Localizer("random", "Random components", "mixed", None,
                  lambda _, arch, budget, seed: take(shuffled_modules(arch, seed), budget, arch)),
        Localizer("random_mlps", "Random MLPs", "mlps", None, lambda _, arch, budget, seed: take(shuffled_mlps(arch, seed), budget, arch)),
        Localizer("all_mlps", "All MLPs", "everything", None, lambda _m, arch, *_: modules(arch, ["mlp"]), matched=False),
        Localizer("nonlocalized", "Nonlocalized", "everything", None, lambda _m, arch, *_: modules(arch), matched=False),
    )
}  # fmt: skip


def localize(key: str, measured: Measured, arch: Architecture, seed: int, **provenance: Any) -> Localization:
    """A localization by its key, at the parameter count of fact lookup where the method is ``matched``."""
    budget = sum(component.size(arch) for component in fact_lookup(measured.probe, arch))
    method = LOCALIZERS[key]
    components = method.choose(measured, arch, budget, seed)
    return Localization.of(key, components, arch, budget=budget, seed=seed, evidence=method.evidence, **provenance)
