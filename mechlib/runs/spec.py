"""A run is its spec: what it does, with which settings, on the results of which other runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mechlib.runs.versions import code_version


@dataclass(frozen=True)
class RunSpec:
    """``config`` holds everything that the stage reads and no more; ``inputs`` are runs by role."""

    stage: str
    label: str = field(compare=False)
    config: Mapping[str, Any]
    inputs: Mapping[str, RunSpec] = field(default_factory=dict)

    @cached_property
    def id(self) -> str:
        """Hash of settings, inputs and the code of the stage. The model's and data's fingerprints are settings."""
        from mechlib.runs.stages import STAGES

        content = {
            "stage": self.stage,
            "config": dict(self.config),
            "inputs": {role: spec.id for role, spec in sorted(self.inputs.items())},
            "code": code_version(STAGES[self.stage].module),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]

    def to_json(self) -> dict[str, Any]:
        """What is written beside the result."""
        inputs = {role: spec.id for role, spec in self.inputs.items()}
        return {"stage": self.stage, "label": self.label, "config": dict(self.config), "inputs": inputs}
