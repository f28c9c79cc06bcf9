"""What can still be read inside an edited model: by probes, by the unembedding at every layer, and by patching."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mechlib.evals.depth import Reference, depth, references
from mechlib.evals.head_projection import head_projection
from mechlib.evals.latent import latent
from mechlib.facts import FORMATS, prompts
from mechlib.runs.attacking import edited
from mechlib.runs.context import Context
from mechlib.runs.result import Result
from mechlib.runs.stages.know import splits

# Facts to train probes on, at most.
TRAIN = 128


def compute(context: Context, config: Mapping[str, Any], inputs: Mapping[str, Result], folder: Path) -> Result:
    """Rows by ``audit``: ``probe`` (relations with a closed list of answers only), ``projection`` and ``depth``."""
    parts, number, form = splits(context.facts, inputs["know"], config["splits"]), config["forget_set"], FORMATS[config["format"]]
    asked = prompts(parts.forget[number].facts, form)
    others = [*parts.localize, *parts.retained(parts.maintain_train, number)]
    original = context.model.standalone_copy()
    rows: list[dict[str, Any]] = []
    with edited(context.model, inputs.get("edit")) as model:
        if not asked[0].open:
            rows += [{"audit": "probe", **asdict(row)} for row in latent(model, prompts(others[:TRAIN], form), asked, config["seed"])]
        context.report(1, 3)
        rows += [{"audit": "projection", **asdict(row)} for row in head_projection(model, asked)]
        context.report(2, 3)
        known = _references(inputs["unedited"].rows) if "unedited" in inputs else references(original, asked, config["seed"], draws=1)
        rows += [{"audit": "depth", **asdict(row)} for row in depth(model, original, asked, known)]
    return Result(rows)


def _references(rows: Sequence[Mapping[str, Any]]) -> list[Reference]:
    """Those of the unedited model, from the rows of its own run."""
    own = [row for row in rows if row["audit"] == "depth"]
    layers = 1 + max(row["layer"] for row in own)
    facts = [own[start : start + layers] for start in range(0, len(own), layers)]
    return [Reference(fact[0]["clean"], tuple(row["corrupted"] for row in fact)) for fact in facts]
