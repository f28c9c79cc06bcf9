"""Write golden rows: ``python -m tests.golden.write``. Only those that are new, or that changed with a version.

Rows that hold stay as they are; their stages may get other names and versions.

A leaf is not compared where a nudge of all weights (``NUDGE`` of themselves, a few units in the last
place) changes it: a choice (true or false, an answer, a rank) at all, a number by more than
``TURNED`` of its column. It is a tie, and another processor breaks it as it likes.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch

from tests.golden.bench import Bench
from tests.golden.cases import CASES, Case
from tests.golden.kept import ROWS, Kept, beyond, differences, kept, path_of, read, rounded, save, worst

NUDGE, TURNED = 1e-6, 1e-3
Say = Callable[[str], None]


def outcome(bench: Bench, case: Case) -> Kept:
    """A case's outcome now."""
    spec = case.spec(bench.runner(case.study).study)
    return kept(case.name, spec, bench.result(case.study, spec))


def write(bench: Bench, nudged: Bench, say: Say, cases: Mapping[str, Case] = CASES, rows: Path = ROWS) -> bool:
    """Keep in ``rows`` what may be kept; false if a case changed without a raised version."""
    refused = False
    for case in cases.values():
        now, before = outcome(bench, case), read(case.name, rows)
        held = before is not None and not beyond(before, now)
        if held and (before.stage, before.versions) != (now.stage, now.versions):
            save(replace(before, stage=now.stage, versions=now.versions), rows)
            say(f"relabelled: {case.name}, whose rows hold")
        elif before is None or (not held and any(version > before.versions.get(name, 1) for name, version in now.versions.items())):
            save(rounded(now, differences(now, outcome(nudged, case)), TURNED), rows)
            say(f"written: {case.name}")
        elif not held:
            refused = True
            column, far = worst(before, now)
            say(f"refused: {case.name}: {column} changed by {far:.2g}, and no version of {', '.join(now.versions)} was raised")
    for path in sorted(set(rows.glob("*.json")) - {path_of(name, rows) for name in cases}):
        path.unlink()
        say(f"removed: {path.stem} is no case")
    return not refused


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        benches = Bench(Path(folder) / "plain"), Bench(Path(folder) / "nudged", NUDGE)
        done = write(*benches, lambda line: print(line, flush=True))  # noqa: T201
    sys.exit(not done)
