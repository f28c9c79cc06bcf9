"""Path patching: the evidence of fact lookup where facts have many relations (the paper, section 3, CounterFact)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mechlib.facts import FORMATS, prompts
from mechlib.localize.path_lookup import extraction_heads, receiver_layer
from mechlib.patching.path import direct_effects, effects_on_stream
from mechlib.runs.context import Context
from mechlib.runs.stages.know import localizing, splits
from mechlib.runs.result import Result


def compute(context: Context, config: Mapping[str, Any], inputs: Mapping[str, Result], folder: Path) -> Result:
    """``direct``: heads on the answer; ``stream``: MLPs on the stream that the lowest extraction head reads."""
    parts = splits(context.facts, inputs["know"], config["splits"])
    facts = localizing(parts, config)
    asked, settings = prompts(facts, FORMATS[config["format"]]), {"seed": config["seed"], "precision": config["precision"]}
    direct = direct_effects(context.model, asked, report=context.report, **settings)
    heads = extraction_heads(direct)
    stream = effects_on_stream(context.model, asked, receiver_layer(heads), report=context.report, **settings)
    value = {"direct": direct.to_json(), "stream": stream.to_json(), "heads": [str(head) for head in heads]}
    return Result(value={**value, "receiver": receiver_layer(heads)})
