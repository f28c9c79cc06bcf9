"""What a run gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Result:
    """Rows (one a fact, prompt, step ...), one small value, and files beside them in ``folder``."""

    rows: Sequence[Mapping[str, Any]] = ()
    value: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    seconds: float = 0.0
