"""How far methods that score components agree: with exact patching, with themselves, and in what they choose."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats

from mechlib.components import Architecture, Component, Kind, Localization, read_architecture
from mechlib.localize.budget import fill_budget
from mechlib.localize.controls import shuffled_mlps
from mechlib.localize.fact_lookup import lookup_layers, subject_accuracies
from mechlib.localize.localizer import Measured
from mechlib.localize.output_tracing import by_module
from mechlib.localize.registry import localize
from mechlib.patching.probing import ProbeRow
from mechlib.patching.scores import Scores
from mechlib.report.aggregation import Rows
from mechlib.stats import Interval

_EXACT = {"denoising": "activation_patching", "noising": "activation_patching_noising"}
_KINDS: tuple[Kind, ...] = ("mlp", "head")


def rank_correlation(scores: Scores, reference: Scores, kind: Kind, seed: int = 0, resamples: int = 300) -> Interval:
    """Spearman correlation over all components of a kind, with a bootstrap interval over prompts (both methods on the same ones).

    The interval is empty (not a number) where the two were not scored on as many prompts.
    """
    components = [component for component in reference.values if component.kind == kind]
    estimate = _spearman([scores.values[c] for c in components], [reference.values[c] for c in components])
    if len(scores.spans) != len(reference.spans):
        return Interval(estimate, float("nan"), float("nan"))

    def statistic(indices: np.ndarray) -> float:
        one, other = (found.among(indices.tolist()) for found in (scores, reference))
        return _spearman([one[c] for c in components], [other[c] for c in components])

    found = scipy_stats.bootstrap((np.arange(len(reference.spans)),), statistic, n_resamples=resamples, vectorized=False,
                                  method="percentile", rng=np.random.default_rng(seed))  # fmt: skip
    return Interval(estimate, float(found.confidence_interval.low), float(found.confidence_interval.high))


def with_exact(traced: Mapping[str, Scores], seed: int) -> pd.DataFrame:
    """:func:`rank_correlation` of every method with exact patching in both directions, as far as that is among them.

    Columns ``method``, ``kind``, ``reference``, ``share``, ``low``, ``high``; one row a method, kind of component and direction.
    """
    exact = {direction: traced[name] for direction, name in _EXACT.items() if name in traced}
    return pd.DataFrame([
        {"method": name, "kind": kind, "reference": f"exact {direction}", "share": found.estimate, "low": found.low, "high": found.high}
        for name, scores in traced.items() for kind in _KINDS for direction, reference in exact.items() if scores is not reference
        for found in [rank_correlation(scores, reference, kind, seed)]
    ])  # fmt: skip


def module_correlation(one: Scores, other: Scores, kind: Kind) -> float:
    """Spearman correlation of absolute scores of whole attention layers (``attn``) or of MLPs: what edits rank modules by."""
    modules = [{module: abs(value) for module, value in by_module(scores).items() if module.kind == kind} for scores in (one, other)]
    return _spearman(*([scores[module] for module in modules[0]] for scores in modules))


def stability(scores: Scores, kind: Kind, seed: int = 0, splits: int = 20) -> float:
    """Mean Spearman correlation between the scores from two random halves of the prompts; NaN where there is only one."""
    if len(scores.spans) < 2:
        return float("nan")
    components = [component for component in scores.effects if component.kind == kind]
    generator, found = random.Random(seed), list[float]()
    for _ in range(splits):
        order = list(range(len(scores.spans)))
        generator.shuffle(order)
        halves = [scores.among(order[: len(order) // 2]), scores.among(order[len(order) // 2 :])]
        found.append(_spearman(*([half[c] for c in components] for half in halves)))
    return sum(found) / len(found)


def jaccard(first: Sequence[Component], second: Sequence[Component]) -> float:
    """Shared components as a share of all that either set has."""
    return len(set(first) & set(second)) / len(set(first) | set(second))


def captured(components: Sequence[Component], scores: Scores) -> float:
    """Sum of the scores of the MLPs among ``components``."""
    return sum(scores.values[component] for component in components if component.kind == "mlp")


def probed_lookup(rows: Rows, beside: Localization) -> Localization:
    """Fact lookup by its rule from the rows of probes, in the model of another localization, whether or not it is run itself."""
    return localize("fact_lookup", Measured(_probes(rows)), read_architecture(beside.provenance["architecture"]), 0)


def uncapped_layers(rows: Rows, n_layers: int) -> range:
    """The layers that fact lookup's rule gives from the same rows when it may take all of them, not a quarter."""
    probes = _probes(rows)
    return lookup_layers(subject_accuracies(probes), n_layers, probes[0].total, most=1.0)


def _probes(rows: Rows) -> list[ProbeRow]:
    names = [field.name for field in fields(ProbeRow)]
    return [ProbeRow(**{name: row[name] for name in names}) for row in rows]


def random_mlp_draws(arch: Architecture, budget: int, count: int) -> list[tuple[Component, ...]]:
    """Random sets of MLPs at a budget: what choosing without looking gives."""
    return [fill_budget(shuffled_mlps(arch, 1_000_000 + number), budget, arch) for number in range(count)]


def _spearman(one: Sequence[float], other: Sequence[float]) -> float:
    found: Any = scipy_stats.spearmanr(one, other)
    return float(found.statistic)
