"""A trained mask made discrete at several sizes: what the model says with so many weights at zero, and whose they were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mechlib.components import Component, Localization
from mechlib.edit.weight_masking import FILE, Mask, discretized
from mechlib.evals.answers import ask
from mechlib.evals.mechanisms import touched
from mechlib.facts import FORMATS, prompts
from mechlib.localize.path_lookup import extraction_heads, extraction_mlps
from mechlib.patching.scores import Scores
from mechlib.runs.context import Context
from mechlib.runs.stages.know import splits
from mechlib.runs.result import Result


def compute(context: Context, config: Mapping[str, Any], inputs: Mapping[str, Result], folder: Path) -> Result:
    """Rows are answers, with the size asked for. The value says which mechanisms the localization covers and each size zeroes."""
    if inputs["mask"].folder is None:
        return Result()
    parts, number = splits(context.facts, inputs["know"], config["splits"]), config["forget_set"]
    groups = {"forget": parts.forget[number].facts, "maintain": parts.retained(parts.maintain_test, number)}
    mask, arch = Mask.load(inputs["mask"].folder / FILE), context.model.architecture
    mechanisms = _mechanisms(inputs)
    rows: list[dict[str, Any]] = []
    zeroed: dict[str, list[dict[str, Any]]] = {}
    for done, size in enumerate(config["sizes"], start=1):
        edit = discretized(context.model, mask, size)
        zeroed[str(size)] = [asdict(row) for row in touched(edit, mechanisms, arch)]
        with edit.applied(context.model):
            for group, facts in groups.items():
                for form in config["formats"]:
                    rows += [{"size": size, **asdict(row)} for row in ask(context.model, prompts(facts, FORMATS[form]), group)]
        context.report(done, len(config["sizes"]))
    covered = touched(Localization.from_json(inputs["localize"].value), mechanisms, arch)
    return Result(rows, {"covered": [asdict(row) for row in covered], "zeroed": zeroed, "masked": mask.masked})


def _mechanisms(inputs: Mapping[str, Result]) -> dict[str, tuple[Component, ...]]:
    """Fact lookup, and where paths were followed the heads and MLPs that write the answer."""
    lookup = Localization.from_json(inputs["lookup"].value).components
    if "paths" not in inputs:
        return {"fact lookup": lookup}
    direct = Scores.from_json(inputs["paths"].value["direct"])
    return {"extraction heads": extraction_heads(direct), "extraction MLPs": extraction_mlps(direct, lookup), "fact lookup": lookup}
