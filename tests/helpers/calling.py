"""Calls of the library as a user makes them, without the shape checks of tests. A program: expressions in, outcomes out."""

from __future__ import annotations

import importlib
import json
import math
import re
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mechlib import facts, stats
from mechlib.attacks.attack import Knowledge
from mechlib.attacks.registry import settings
from mechlib.components import Component, Localization
from mechlib.edit.config import EditConfig
from mechlib.edit.corpus import corpus
from mechlib.edit.delta import Delta
from mechlib.edit.general_text import sample
from mechlib.edit.weight_masking import Mask, MaskConfig
from mechlib.evals.depth import references
from mechlib.localize.localizer import Measured
from mechlib.patching.scores import Scores
from mechlib.runs.study import Study

# What lists the functions that users are told of.
LIBRARY = Path(__file__).parents[2] / "book" / "library.md"


def listed() -> dict[str, str]:
    """The functions of the book's page on the library, by name, with their modules."""
    found = re.findall(r"^\| `(mechlib[\w.]*)\.(\w+)\(", LIBRARY.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: module for module, name in found if not module.endswith("Delta")}


def _names(folder: Path) -> dict[str, Any]:
    """What expressions can name: all functions that are listed, a tiny model, another of other sizes, and good arguments of each kind."""
    from tiny_models import tiny_model

    model, other = tiny_model("gemma3"), tiny_model("llama", hidden_size=16, num_hidden_layers=2)
    some, form = facts.athletes().facts[::90], facts.FORMATS["one_shot"]
    forget, retain = facts.prompts([replace(fact, target="golf") for fact in some[:4]], form), facts.prompts(some[4:10], form)
    texts, arch = sample(model, 3, 8, seed=0), model.architecture
    block = Component(0, "mlp").weights(arch)[0]
    kinds = {kind.__name__: kind for kind in (Component, Localization, EditConfig, Delta, Mask, MaskConfig, Measured, Scores)}
    return {
        **kinds, **{name: getattr(importlib.import_module(module), name) for name, module in listed().items()},
        "facts": facts, "stats": stats, "settings": settings, "corpus": corpus, "references": references, "replace": replace,
        "torch": torch, "nan": math.nan, "folder": folder, "model": model, "other": other, "some": some, "form": form, "forget": forget,
        "retain": retain, "texts": texts, "arch": arch, "mlp": Localization.of("mlp", [Component(1, "mlp")], arch), "block": block,
        "delta": Delta({block: torch.ones(block.shape)}), "mask": Mask((block,), torch.zeros(block.size)),
        "knowledge": Knowledge(forget, retain, texts, model), "scores": Scores("paths", {Component(0, "mlp"): 1.0}, 1.0, 0.0),
        "short": {"learning_rate": 1e-3, "steps": 1}, "arms": {number: [0.1 * number, 0.5] for number in range(7)},
        "study": Study().unreached(), "tuned": {"ranks": [2], "learning_rates": [1e-3], "steps": 1, "checkpoints": [1]},
    }  # fmt: skip


def outcome(expression: str, names: dict[str, Any]) -> dict[str, Any]:
    """What a call came to: the classes of its error and its line, or the value; ``raised``: whether the library itself raised it."""
    try:
        value = eval(expression, names)  # noqa: S307 - written beside the test
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        raised = "/mechlib/" in last.filename and (last.line or "").startswith("raise ")
        return {"kinds": [kind.__name__ for kind in type(error).__mro__], "line": str(error), "raised": raised}
    return {"kinds": [], "line": repr(value)[:200], "raised": False}


if __name__ == "__main__":
    given, names = json.loads(sys.stdin.read()), _names(Path(sys.argv[1]))
    sys.stdout.write(json.dumps({name: outcome(expression, names) for name, expression in given.items()}))
