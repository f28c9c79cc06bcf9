"""Faithfulness of the circuits that each method's ranking proposes, on facts that no method has seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mechlib.components import nodes
from mechlib.facts import FORMATS, prompts
from mechlib.patching.faithfulness import faithfulness, rankings
from mechlib.patching.scores import Scores
from mechlib.runs.context import Context
from mechlib.runs.stages.know import splits
from mechlib.runs.result import Result


def compute(context: Context, config: Mapping[str, Any], inputs: Mapping[str, Result], folder: Path) -> Result:
    """Rows are circuits."""
    parts = splits(context.facts, inputs["know"], config["splits"])
    scores = {name: Scores.from_json(result.value) for name, result in inputs.items() if name != "know"}
    facts = sorted(parts.maintain_test.facts[: config["count"]], key=lambda fact: fact.relation)
    rows = faithfulness(
        context.model, prompts(facts, FORMATS[config["format"]]), rankings(scores, nodes(context.model.architecture)),
        seed=config["seed"], precision=config["precision"], report=context.report,
    )  # fmt: skip
    return Result([asdict(row) for row in rows])
