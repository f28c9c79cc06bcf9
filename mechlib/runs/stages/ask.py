"""Every fact of a forget set and of the maintain test set, asked in one format, of the edited or unedited model."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mechlib.edit.delta import FILE, Delta
from mechlib.evals.answers import ask
from mechlib.facts import FORMATS, prompts
from mechlib.runs.context import Context
from mechlib.runs.stages.know import splits
from mechlib.runs.result import Result


def compute(context: Context, config: Mapping[str, Any], inputs: Mapping[str, Result], folder: Path) -> Result:
    """Rows are answers, of group ``forget`` or ``maintain``."""
    parts = splits(context.facts, inputs["know"], config["splits"])
    form = FORMATS[config["format"]]
    edited = inputs.get("edit")
    delta = None if edited is None or edited.folder is None else Delta.load(edited.folder / FILE)
    with delta.applied(context.model) if delta else nullcontext():
        rows = [
            asdict(row)
            for group, facts in (("forget", parts.forget[config["forget_set"]]), ("maintain", parts.maintain_test))
            for row in ask(context.model, prompts(facts.facts, form, config["rotations"]), group)
        ]
    return Result(rows)
