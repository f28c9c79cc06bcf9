"""Which layers fact lookup's rule gives by probes of other kinds and on fewer facts, with its cap and without."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from mechlib.components import Localization, read_architecture
from mechlib.localize.fact_lookup import lookup_layers
from mechlib.patching.probe_variants import Facts
from mechlib.patching.probing import CLASSIFIERS, USED
from mechlib.report import numerals
from mechlib.report.aggregation import Rows

WITH, WITHOUT = "layers with the cap", "layers without the cap"
_FACTS: Mapping[Facts, str] = {"all": "all that are probed", "traced": "those that tracing sees"}


def lookup_choices(rows: Rows, edited: Localization) -> pd.DataFrame:
    """One row a kind of probe and set of facts, from the rows of :class:`mechlib.patching.probe_variants.VariantRow`.

    ``shared`` columns are Jaccard indices of the layers that the rule gives and those of the localization that a study edits.
    """
    n_layers = read_architecture(edited.provenance["architecture"]).n_layers
    found: list[dict[str, object]] = []
    for facts, said in _FACTS.items():
        for kind in CLASSIFIERS:
            own = sorted((row for row in rows if row["facts"] == facts and row["classifier"] == kind), key=lambda row: row["layer"])
            if not own:
                continue
            total, accuracies = own[0]["total"], [row["correct"] / row["total"] for row in own]
            capped = lookup_layers(accuracies, n_layers, total)
            uncapped = lookup_layers(accuracies, n_layers, total, most=1.0)
            found.append({
                "probe": _named(kind), "fitted on": said, "facts": total, "held-out accuracy": max(accuracies),
                WITH: _window(capped), WITHOUT: _window(uncapped),
                "shared with what is edited": _shared(capped, edited.layers), "shared without the cap": _shared(uncapped, edited.layers),
            })  # fmt: skip
    return pd.DataFrame(found)


def choice(table: pd.DataFrame) -> str:
    """Whether probes of other kinds choose other layers on the same facts, from :func:`lookup_choices`."""
    own = _fitted_on(table, "all")
    capped, uncapped = _by_window(own, WITH), _by_window(own, WITHOUT)
    start = "The kind of probe decides" if len({row[WITH] for row in own}) > 1 else "All kinds of probe agree"
    return f"{start}: with the cap the rule gives layers {capped}; without it, {uncapped}."


def fewer_facts(table: pd.DataFrame) -> str:
    """What becomes of the rule on the facts alone that output tracing sees, from :func:`lookup_choices`."""
    own = _fitted_on(table, "traced")
    if not own:
        return ("On the facts alone that output tracing sees no probe can be fitted, for want of two answers with two facts each: this "
                "profile has no equal evidence for all methods.")  # fmt: skip
    best, total = max(row["held-out accuracy"] for row in own), own[0]["facts"]
    error = math.sqrt(best * (1 - best) / total)
    return (f"On the {numerals.count(total)} facts alone that output tracing sees, the best of these probes is right for "
            f"{numerals.decimal(best)} (one standard error is {numerals.decimal(error)}), and "
            f"with the cap the rule gives layers {_by_window(own, WITH)}.")  # fmt: skip


def _fitted_on(table: pd.DataFrame, facts: Facts) -> list[dict[Hashable, Any]]:
    return [row for row in table.to_dict("records") if row["fitted on"] == _FACTS[facts]]


def _named(kind: str) -> str:
    called = "Logistic regression" if kind == "logistic" else kind.replace("ridge ", "Ridge, alpha ")
    return f"{called} (the study's)" if kind == USED else called


def _window(layers: range) -> str:
    return f"{layers[0]} to {layers[-1]}"


def _by_window(rows: Sequence[Mapping[Hashable, Any]], column: str) -> str:
    """The windows, each with the kinds of probe that give it where there are several."""
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row[column], []).append(row["probe"][0].lower() + row["probe"][1:])
    return ", ".join(window if len(found) == 1 else f"{window} ({'; '.join(probes)})" for window, probes in found.items())


def _shared(layers: Iterable[int], edited: Iterable[int]) -> float:
    one, other = set(layers), set(edited)
    return len(one & other) / len(one | other)
