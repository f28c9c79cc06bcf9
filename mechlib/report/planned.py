"""What edits of models need that this machine may not hold: the plan's numbers, not measured ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from mechlib.report.tables import label
from mechlib.runs.memory import memory
from mechlib.runs.store import Store
from mechlib.runs.study import Study


def planned_memory(models: Sequence[str], localizations: Sequence[str], store: Store, **settings: Any) -> pd.DataFrame:
    """Gigabytes (1e9 bytes) of an accelerator that an edit in bfloat16 is planned to need, for AdamW and its 8-bit version."""
    records: list[dict[str, Any]] = []
    for model in models:
        for key in localizations:
            for optimizer in ("adamw", "adamw8bit"):
                study = Study(model=model, profile="full", optimizer=optimizer, precision="bfloat16", **settings).unreached()
                needs = memory(study, study.edit(key, 0, 0), store, accelerator=True)
                parts = {name: size / 1e9 for name, size in needs.parts.items()}
                records.append({"model": model, "localization": label(key), "optimizer": optimizer, **parts, "together": needs.total / 1e9})
    return pd.DataFrame(records)
