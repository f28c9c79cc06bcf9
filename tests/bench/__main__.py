"""Time of each stage and of the fast paths, as ratios within one run: ``make bench``; on an accelerator, with a model that needs one."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from mechlib.models.loading import default_device
from mechlib.runs.study import Study
from tests.bench import card, processor, together
from tests.bench.timing import say

# Beside what it measures: a table for each card.
_TABLES = Path(__file__).parent / "cards"
_PAGES = Study(profile="full", forget_sets=8, localizations=(
    "fact_lookup", "causal_tracing", "attribution_patching", "random_mlps", "all_mlps", "nonlocalized"))  # fmt: skip


def main() -> None:
    """Everything that this machine can measure, in a few minutes."""
    if not torch.accelerator.is_available():
        processor.main()
        together.workers()
        return
    rows = card.measured(card.LLAMA_3_8B, default_device(), say) + card.study(_PAGES, say)
    path = card.write(rows, Path(sys.argv[1]) if sys.argv[1:] else _TABLES)
    say(f"{path}: commit it")


if __name__ == "__main__":
    main()
