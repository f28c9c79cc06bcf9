"""Every localization by its key. A new method is one short file and one line here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

from mechlib import checks
from mechlib.components import Architecture, Component, ComponentError, Localization, modules
from mechlib.errors import meant, shown
from mechlib.localize.budget import fill_budget
from mechlib.localize.controls import next_to, shuffled_mlps, shuffled_modules, site, spaced_mlps, spaced_site
from mechlib.localize.localizer import Choose, Localizer, Measured
from mechlib.localize.output_tracing import ranked


def _traced(evidence: str, label: str) -> tuple[Localizer, Localizer]:
    """A method that scores components, over all modules and over MLPs alone."""

    def chooser(mlps_only: bool) -> Choose:
        return lambda measured, arch, budget, _: fill_budget(ranked(measured.of(evidence), mlps_only), budget, arch)

    return (
        Localizer(evidence, label, "mixed", evidence, chooser(False)),
        Localizer(f"{evidence}_mlps", f"{label} (MLPs)", "mlps", evidence, chooser(True)),
    )


def _draw_modules(_measured: Measured, arch: Architecture, budget: int, seed: int) -> Sequence[Component]:
    return fill_budget(shuffled_modules(arch, seed), budget, arch)


def _draw_mlps(_measured: Measured, arch: Architecture, budget: int, seed: int) -> Sequence[Component]:
    return fill_budget(shuffled_mlps(arch, seed), budget, arch)


def _last_mlps(_measured: Measured, arch: Architecture, budget: int, _seed: int) -> Sequence[Component]:
    return fill_budget(reversed(modules(arch, ["mlp"])), budget, arch)


def _of_a_forget_set(*_: object) -> Sequence[Component]:
    raise ComponentError("where facts were planted is known of a study's forget sets: choose early_mlps or late_mlps")


# The nine localizations that the paper compares.
_PAPER = (
    Localizer("fact_lookup", "Fact lookup", "mlps", None, lambda measured, arch, *_: measured.lookup(arch)),
    *_traced("causal_tracing", "Causal tracing"),
    *_traced("attribution_patching", "Attribution patching"),
    Localizer("random", "Random components", "mixed", None, _draw_modules, drawn=True),
    Localizer("random_mlps", "Random MLPs", "mlps", None, _draw_mlps, drawn=True),
    Localizer("all_mlps", "All MLPs", "everything", None, lambda _m, arch, *_: modules(arch, ["mlp"]), matched=False),
    Localizer("nonlocalized", "Nonlocalized", "everything", None, lambda _m, arch, *_: modules(arch), matched=False),
)
_BEYOND = (
    Localizer("late_window", "Last MLPs", "mlps", None, _last_mlps),
    *_traced("activation_patching", "Activation patching"),
    *_traced("activation_patching_noising", "Activation patching, noising"),
    *_traced("attribution_patching_inputs", "Attribution patching, inputs"),
    *_traced("attribution_patching_denoising", "Attribution patching, denoising"),
    *_traced("integrated_gradients", "Integrated gradients"),
    *_traced("relevance_patching", "Relevance patching"),
    *_traced("gradient_times_weight", "|Gradient x weight|"),
)
# Places that no method chose: facts are planted there, and edited there or at the other one.
_SITES = (
    Localizer("early_mlps", "Early MLPs", "mlps", None, lambda _m, arch, *_: site(arch, 1 / 6), matched=False),
    Localizer("late_mlps", "Late MLPs", "mlps", None, lambda _m, arch, *_: site(arch, 2 / 3), matched=False),
)
# What these two are depends on where a forget set's facts were planted: a study of such facts says it.
_OF_SETS = {
    "planted_site": Localizer("planted_site", "Planted site", "mlps", None, _of_a_forget_set, matched=False),
    "other_site": Localizer("other_site", "Other site", "mlps", None, _of_a_forget_set, matched=False),
}
PLANTED = tuple(_OF_SETS)
# Places next to fact lookup's, which not every model has.
_NEXT = {
    "mlps_before": Localizer("mlps_before", "MLPs right before", "mlps", None, lambda m, arch, *_: next_to(arch, m.lookup(arch), -1)),
    "mlps_after": Localizer("mlps_after", "MLPs right after", "mlps", None, lambda m, arch, *_: next_to(arch, m.lookup(arch), 1)),
}
PAPER = tuple(method.key for method in _PAPER)
SITES = tuple(method.key for method in _SITES)
LOCALIZERS = {method.key: method for method in (*_PAPER, *_BEYOND, *_SITES)}
GIVEN = "given"
_WINDOW = re.compile(r"mlps_([0-9]{1,4})_to_([0-9]{1,4})")
_SPACED = re.compile(r"window_([0-9]{1,3})_of_([0-9]{1,3})")
_PLACE = re.compile(r"site_([0-9]{1,3})_of_([0-9]{1,3})")
_DRAW = re.compile(r"random_mlps_([0-9]{1,9})")
# Between an edit's own localization and that of the edit whose norm it is given.
AT_NORM = "@"


def localizer(key: str) -> Localizer:
    """A method by its key; besides the table: ``mlps_2_to_6``, these MLPs; ``window_0_of_9``, the first of nine windows of as many MLPs as
    fact lookup has, at equal distances over all layers; ``site_0_of_8``, one of as many places where facts are planted;
    ``random_mlps_3``, one draw for all forget sets; ``mlps_before`` and ``mlps_after``, of which each is the nearest one before or after
    one of fact lookup's and none of these; and ``all_mlps@fact_lookup``, of which the change is rescaled to the norm of another's.

    Raises :class:`ComponentError` for any other key.
    """
    if not checks.is_a(key, str):
        raise ComponentError(f"{shown(key)} is no localization: choose {', '.join(LOCALIZERS)}, or mlps_2_to_6")
    if pair := at_norm(key):
        own, other = map(localizer, pair)
        return replace(own, key=key, label=f"{own.label} (norm of {other.label})")
    if (window := _WINDOW.fullmatch(key)) and _is_window(key):
        first, last = int(window[1]), int(window[2])
        layers = range(first, last + 1)
        return Localizer(key, f"MLPs {first} to {last}", "mlps", None, lambda *_: [Component(n, "mlp") for n in layers], matched=False)
    if (spaced := _SPACED.fullmatch(key)) and _is_spaced(key):
        number, of = int(spaced[1]), int(spaced[2])
        return Localizer(key, f"MLPs, window {number + 1} of {of}", "mlps", None,
                         lambda _m, arch, budget, _: spaced_mlps(arch, budget, number, of))  # fmt: skip
    if (place := _PLACE.fullmatch(key)) and _is_place(key):
        number, of = int(place[1]), int(place[2])
        return Localizer(key, f"MLPs, place {number + 1} of {of}", "mlps", None, lambda _m, arch, *_: spaced_site(arch, number, of),
                         matched=False)  # fmt: skip
    if draw := _DRAW.fullmatch(key):
        number = int(draw[1])
        return Localizer(key, f"Random MLPs, draw {number}", "mlps", None,
                         lambda _m, arch, budget, _: fill_budget(shuffled_mlps(arch, 1_000_000 + number), budget, arch))  # fmt: skip
    if found := _OF_SETS.get(key) or _NEXT.get(key):
        return found
    if key == GIVEN:
        return Localizer(GIVEN, "Given by file", "mixed", None, lambda measured, *_: measured.given, matched=False)
    if key not in LOCALIZERS:
        raise ComponentError(f"{shown(key)} is no localization{meant(key, LOCALIZERS)}: choose {', '.join(LOCALIZERS)}, or mlps_2_to_6")
    return LOCALIZERS[key]


def at_norm(key: str) -> tuple[str, str] | None:
    """The localizations of the edit that is rescaled and of the one whose norm it gets; ``None`` for a key that rescales nothing."""
    pair = key.split(AT_NORM) if checks.is_a(key, str) else []
    named = len(pair) == 2 and pair[0] != pair[1] and all(one in LOCALIZERS or _is_named(one) for one in pair)
    return (pair[0], pair[1]) if named else None


def valid_keys(keys: Any) -> tuple[str, ...]:
    """All keys of the table, and those of ``keys`` (one or several) that it lacks: windows, draws, norms, places of planted facts, or
    next to fact lookup's.
    """
    listed: Iterable[Any] = keys if isinstance(keys, list | tuple) else (keys,)
    return (*LOCALIZERS, *(key for key in listed if isinstance(key, str) and _is_named(key)))


def _is_named(key: str) -> bool:
    """Whether a key that the table lacks names a localization."""
    named = key in PLANTED or key in _NEXT or _DRAW.fullmatch(key) is not None
    return named or _is_window(key) or _is_spaced(key) or _is_place(key) or at_norm(key) is not None


def _is_window(key: str) -> bool:
    """Whether a key names a window that holds a layer."""
    window = _WINDOW.fullmatch(key)
    return window is not None and int(window[1]) <= int(window[2])


def _is_spaced(key: str) -> bool:
    """Whether a key names one of at least two windows, counted from 0."""
    spaced = _SPACED.fullmatch(key)
    return spaced is not None and int(spaced[1]) < int(spaced[2]) and int(spaced[2]) > 1


def _is_place(key: str) -> bool:
    """Whether a key names one of some places, counted from 0."""
    place = _PLACE.fullmatch(key)
    return place is not None and int(place[1]) < int(place[2])


def localize(
    key: str, measured: Measured, arch: Architecture, seed: int, *, budget: int | None = None, **provenance: Any
) -> Localization:
    """A localization by its key, at a parameter count where the method is ``matched``: ``budget``, or else that of fact lookup.

    Its provenance holds that count as ``budget``. Where there is neither it is ``None``, and
    matched methods raise :class:`ComponentError`, as do all whose evidence was not measured.
    """
    method = localizer(key)
    if budget is None:
        try:
            budget = sum(component.size(arch) for component in measured.lookup(arch))
        except ComponentError:
            if method.matched:
                raise
    # What is not matched reads no budget.
    components = method.choose(measured, arch, 0 if budget is None else budget, seed)
    about = {"budget": budget, "seed": seed, "evidence": method.evidence, "architecture": asdict(arch), **provenance}
    return Localization.of(key, components, arch, **about)
