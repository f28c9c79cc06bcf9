"""Output tracing: the evidence of causal tracing and of attribution patching."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mechlib.facts import FORMATS, prompts
from mechlib.patching.activation import activation_patching
from mechlib.patching.attribution import attribution_patching
from mechlib.patching.pairs import Corruption
from mechlib.patching.scores import Scores
from mechlib.patching.sweep import Direction
from mechlib.runs.context import Context
from mechlib.runs.stages.know import splits
from mechlib.runs.result import Result

# The paper's choices (section 3 and the released code): causal tracing restores clean outputs in a
# run with a noised subject; attribution patching puts outputs of another subject into the clean run.
_METHODS: dict[str, tuple[Callable[..., Scores], Corruption, Direction]] = {
    "causal_tracing": (activation_patching, "noise", "denoise"),
    "attribution_patching": (attribution_patching, "tokens", "noise"),
}


def compute(context: Context, config: Mapping[str, Any], inputs: Mapping[str, Result], folder: Path) -> Result:
    """Scores per head and MLP on facts that are neither edited nor tested."""
    parts = splits(context.facts, inputs["know"], config["splits"])
    asked = prompts(parts.localize.facts, FORMATS[config["format"]])
    method, corruption, direction = _METHODS[config["method"]]
    scores = method(
        context.model, asked, corruption=corruption, direction=direction, seed=config["seed"], report=context.report
    )
    return Result(value=scores.to_json())
