"""Every fact of a forget set and of the maintain test set, asked in one format, of the edited or unedited model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mechlib.edit.delta import FILE, Delta
from mechlib.evals.answers import ask
from mechlib.facts import FORMATS, Fact, FactSet, Prompt, Splits, neighbourhood, prompts
from mechlib.models.tokens import distinct
from mechlib.runs.context import Context
from mechlib.runs.stages.know import known_facts, splits
from mechlib.runs.result import Result

NEIGHBOURS = 2


def compute(context: Context, config: Mapping[str, Any], inputs: Mapping[str, Result], folder: Path) -> Result:
    """Rows are answers, of group ``forget``, ``held_out`` (same answer, not trained on), ``maintain`` or ``neighbourhood``."""
    parts = splits(context.facts, inputs["know"], config["splits"])
    known = known_facts(context.facts, inputs["know"], config["splits"]["threshold"])
    edited = inputs.get("edit")
    delta = None if edited is None or edited.folder is None else Delta.load(edited.folder / FILE)
    with delta.applied(context.model) if delta else nullcontext():
        rows = [
            asdict(row)
            for group, asked in _groups(parts, known, config)
            for row in ask(context.model, [one for one in asked if distinct(context.model, one)], group)
        ]
    return Result(rows)


def _groups(parts: Splits, known: FactSet, config: Mapping[str, Any]) -> Iterator[tuple[str, list[Prompt]]]:
    form, number = FORMATS[config["format"]], config["forget_set"]
    forget = parts.forget[number].facts
    groups: dict[str, Sequence[Fact]] = {"forget": forget, "maintain": parts.retained(parts.maintain_test, number)}
    if parts.held_out:
        groups["held_out"] = parts.held_out[number].facts
    for group, facts in groups.items():
        yield group, prompts(facts, form, config["rotations"])
    if config["neighbourhood"]:
        others = [fact for fact in known if fact not in forget and fact.subject not in parts.forget[number].subjects]
        near = [one for fact in forget for one in neighbourhood(fact, others, form)[:NEIGHBOURS]]
        yield "neighbourhood", list({one.text: one for one in near}.values())
