"""Do kept rows still hold? A seeded sample of kept runs is computed again by this code on this machine and compared."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mechlib.runs.spec import RunSpec
from mechlib.runs.stages import STAGES

Rows = Sequence[Mapping[str, Any]]
# Of the runs that start from one edit, at most this many of a stage are taken: an edit is what costs.
_EACH = 2
# The columns that claims rest on. Ranks and gradient norms follow them, on a scale of their own.
MEASURED = ("probability", "target_probability", "loss_before", "loss_after", "divergence", "forget", "retain", "text")


@dataclass(frozen=True)
class Difference:
    """Two computations of one run.

    ``largest`` absolute difference of a measured number (probabilities, or nats), in column ``where``; ``mean``: over all of them;
    ``answers``: share of the
    answers (``correct``) that are not the same; ``shape``: whether the rows are about other things or of another number.
    """

    stage: str
    id: str
    label: str
    rows: int
    largest: float
    where: str
    mean: float
    answers: float | None
    shape: bool = False


def sample(kept: Iterable[RunSpec], number: int, seed: int) -> list[RunSpec]:
    """About ``number`` of the kept runs, of every stage, in an order in which runs of one edit stand together.

    Stratified by stage: of the unedited model, then of edits that are drawn at random, up to two runs of every stage that start
    from it, until there are enough.
    """
    generator, runs = random.Random(seed), {spec.id: spec for spec in kept}
    groups: dict[str, list[RunSpec]] = {}
    for spec in sorted(runs.values(), key=lambda spec: spec.id):
        edit = spec if spec.stage.name == "edit" else spec.inputs.get("edit")
        groups.setdefault(edit.id if edit else "", []).append(spec)
    # What starts from no edit comes first: it is cheap, and so no stage is left out.
    order = sorted(key for key in groups if key)
    generator.shuffle(order)
    order = [*(key for key in groups if not key), *order]
    chosen: dict[str, RunSpec] = {}
    for key in order:
        taken: Counter[str] = Counter()
        own = list(groups[key])
        generator.shuffle(own)
        for spec in sorted(own, key=lambda spec: _place(spec)):
            if len(chosen) < number and taken[spec.stage.name] < _EACH:
                taken[spec.stage.name] += 1
                chosen[spec.id] = spec
    return list(chosen.values())


def _place(spec: RunSpec) -> int:
    return [stage.name for stage in STAGES].index(spec.stage.name)


def compare(spec: RunSpec, kept: Rows, again: Rows) -> Difference:
    """How far the rows that were computed again are from the kept ones."""
    # An edit that stops early may take a step more or fewer: what both have is compared.
    shape = len(kept) != len(again)
    gaps = [(abs(float(value) - float(other[name])), name) for one, other in zip(kept, again, strict=False) for name, value in one.items()
            if name in MEASURED and _number(value) and _number(other.get(name))]  # fmt: skip
    same = [one["correct"] == other["correct"] for one, other in zip(kept, again, strict=False) if "correct" in one]
    largest, where = max(gaps, default=(0.0, ""))
    mean = math.fsum(gap for gap, _ in gaps) / len(gaps) if gaps else 0.0
    answers = 1 - sum(same) / len(same) if same else None
    return Difference(spec.stage.name, spec.id, spec.label, len(kept), largest, where, mean, answers, shape)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def summary(found: Sequence[Difference]) -> list[dict[str, Any]]:
    """One line a stage: runs, rows, the largest and the mean difference, and the share of answers that changed."""
    lines: list[dict[str, Any]] = []
    for stage in dict.fromkeys(one.stage for one in found):
        own = [one for one in found if one.stage == stage]
        top = max(own, key=lambda one: one.largest)
        changed = [(one.answers, one.rows) for one in own if one.answers is not None]
        lines.append({
            "stage": stage, "runs": len(own), "rows": sum(one.rows for one in own), "largest difference": top.largest,
            "of": top.where, "mean difference": sum(one.mean for one in own) / len(own),
            "answers changed": sum(share * rows for share, rows in changed) / sum(rows for _, rows in changed) if changed else None,
            "other number of rows": sum(one.shape for one in own),
        })  # fmt: skip
    return lines
