"""Scores of heads and MLPs: the evidence of output tracing, and of everything that it is compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from mechlib.facts import FORMATS, prompts
from mechlib.patching.activation import activation_patching
from mechlib.patching.attribution import attribution_patching
from mechlib.patching.scores import Scores
from mechlib.patching.weights import gradient_times_weight
from mechlib.runs.context import Context
from mechlib.runs.stages.know import localizing, splits
from mechlib.runs.result import Result

# The paper's choices (section 3 and the released code): causal tracing restores clean outputs in a
# run with a noised subject; attribution patching puts outputs of another subject into the clean run.
# Exact patching in both directions is what the estimates are measured against.
METHODS: Mapping[str, Callable[..., Scores]] = {
    "causal_tracing": partial(activation_patching, corruption="noise", direction="denoise"),
    "attribution_patching": partial(attribution_patching, corruption="tokens", direction="noise"),
    "activation_patching": partial(activation_patching, corruption="tokens", direction="denoise"),
    "activation_patching_noising": partial(activation_patching, corruption="tokens", direction="noise"),
    "attribution_patching_denoising": partial(attribution_patching, corruption="tokens", direction="denoise"),
    "integrated_gradients": partial(attribution_patching, corruption="tokens", direction="noise", integration_steps=5),
    "relevance_patching": partial(attribution_patching, corruption="tokens", direction="noise", slope="relevance"),
    "gradient_times_weight": gradient_times_weight,
    "causal_tracing_redrawn": partial(activation_patching, corruption="noise", direction="denoise", redraw=True),
    "causal_tracing_positions": partial(activation_patching, corruption="noise", direction="denoise", by_position=True),
}


def compute(context: Context, config: Mapping[str, Any], inputs: Mapping[str, Result], folder: Path) -> Result:
    """Scores on facts that are neither edited nor tested."""
    parts = splits(context.facts, inputs["know"], config["splits"])
    facts = localizing(parts, config)
    scores = METHODS[config["method"]](
        context.model, prompts(facts, FORMATS[config["format"]]), seed=config["seed"], precision=config["precision"], report=context.report
    )
    return Result(value=scores.to_json())
