"""What an edit did to text that has nothing to do with the facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mechlib.edit.delta import FILE, Delta, EditError
from mechlib.edit.general_text import prose
from mechlib.evals.damage import damage
from mechlib.runs.context import Context
from mechlib.runs.result import Result


def compute(context: Context, config: Mapping[str, Any], inputs: Mapping[str, Result], folder: Path) -> Result:
    """Rows are texts: fresh samples of the unedited model, and prose that no model wrote."""
    edited = inputs["edit"].folder
    if edited is None:
        raise EditError("damage is measured on an edit that was stored")
    samples = [row["tokens"] for row in inputs["text"].rows][: config["count"]]
    texts = {"samples": samples, "prose": prose(context.model, config["count"], config["length"])}
    return Result([asdict(row) for row in damage(context.model, Delta.load(edited / FILE), texts)])
