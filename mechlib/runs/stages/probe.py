"""Probe accuracies over layers: the evidence of fact lookup."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mechlib.facts import FORMATS, prompts
from mechlib.patching.probing import probe
from mechlib.runs.context import Context
from mechlib.runs.stages.know import splits
from mechlib.runs.result import Result


def compute(context: Context, config: Mapping[str, Any], inputs: Mapping[str, Result], folder: Path) -> Result:
    """Probes on facts that are neither edited nor tested."""
    parts = splits(context.facts, inputs["know"], config["splits"])
    facts = [*parts.localize, *parts.maintain_train]
    rows = probe(context.model, prompts(facts, FORMATS[config["format"]]), config["seed"])
    return Result([asdict(row) for row in rows])
