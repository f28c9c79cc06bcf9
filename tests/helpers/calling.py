"""Calls of the library as a user makes them: without the shape checks that tests install. Run as a program: expressions in, outcomes out."""

from __future__ import annotations

import json
import math
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mechlib import facts
from mechlib.attacks.attack import Knowledge
from mechlib.components import Component, Localization
from mechlib.edit.delta import Delta
from mechlib.edit.general_text import sample
from mechlib.edit.weight_masking import Mask
from mechlib.patching.scores import Scores


def _names(folder: Path) -> dict[str, Any]:
    """What expressions can name: the functions above, a tiny model, another of other sizes, and good arguments of each kind."""
    from tiny_models import tiny_model

    model, other = tiny_model("gemma3"), tiny_model("llama", hidden_size=16, num_hidden_layers=2)
    some = facts.athletes().facts[::90]
    form = facts.FORMATS["one_shot"]
    forget, retain = facts.prompts([replace(fact, target="golf") for fact in some[:4]], form), facts.prompts(some[4:10], form)
    texts, arch = sample(model, 3, 8, seed=0), model.architecture
    block = Component(0, "mlp").weights(arch)[0]
    here = {
        "model": model, "other": other, "some": some, "form": form, "forget": forget, "retain": retain, "texts": texts, "arch": arch,
        "mlp": Localization.of("mlp", [Component(1, "mlp")], arch), "delta": Delta({block: torch.ones(block.shape)}), "block": block,
        "mask": Mask((block,), torch.zeros(block.size)), "knowledge": Knowledge(forget, retain, texts, model), "folder": folder,
        "scores": Scores("paths", {Component(0, "mlp"): 1.0}, 1.0, 0.0), "short": {"learning_rate": 1e-3, "steps": 1},
        "arms": {number: [0.1 * number, 0.5] for number in range(7)}, "nan": math.nan, "inf": math.inf,
    }  # fmt: skip
    return {**globals(), **here}


def outcome(expression: str, names: dict[str, Any]) -> dict[str, Any]:
    """What a call came to: the error's kind and text, whether the library itself raised it, and whether a user was meant to mend it."""
    try:
        value = eval(expression, names)  # noqa: S307 - written beside the test
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1].filename
        kinds = [kind.__name__ for kind in type(error).__mro__]
        return {"kinds": kinds, "line": str(error), "ours": "/mechlib/" in last.replace("\\", "/")}
    return {"kinds": [], "line": repr(value)[:200], "ours": False}


if __name__ == "__main__":
    given, names = json.loads(sys.stdin.read()), _names(Path(sys.argv[1]))
    sys.stdout.write(json.dumps({name: outcome(expression, names) for name, expression in given.items()}))
