"""Measure what processors differ by: ``python -m tests.golden.measure [CASE ...]`` computes cases as others would and writes spread.json.

Without names it is all cases; with names the entries of the others stay.
A library that is told to leave instructions unused sums in the order of a processor that lacks them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from tests.golden.bench import Bench
from tests.golden.cases import CASES
from tests.golden.kept import LOOSE, SPREAD, Kept, differences, read
from tests.golden.write import outcome

USUAL, COMPUTE = "as it is", "--compute"
ENVIRONMENTS: dict[str, dict[str, str]] = {
    USUAL: {},
    "no vectors": {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE", "ONEDNN_MAX_CPU_ISA": "SSE41"},
    "AVX2, two threads": {"ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2",
                          "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"},
    "bfloat16": {},
    "two threads": {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"},
    "AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "AVX512": {"ATEN_CPU_CAPABILITY": "avx512", "MKL_ENABLE_INSTRUCTIONS": "AVX512", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
}
# Not a processor: how far the other precision is. Reported, never tolerated.
BFLOAT16 = "bfloat16"


def measured(changed: Mapping[str, str], precision: str, cases: Sequence[str]) -> dict[str, Kept]:
    """These cases in a process of its own with this environment."""
    with tempfile.TemporaryDirectory() as folder:
        usual = {"OMP_NUM_THREADS": "1", **os.environ, "PYTHONWARNINGS": "ignore"}
        subprocess.run([sys.executable, "-m", __spec__.name, COMPUTE, folder, precision, *cases], env={**usual, **changed}, check=True)
        return {name: Kept(**found) for name, found in json.loads((Path(folder) / "cases.json").read_text()).items()}


def compute(folder: Path, precision: str, cases: Sequence[str]) -> None:
    """What a process measures."""
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    bench = Bench(folder, changed={"precision": precision})
    (folder / "cases.json").write_text(json.dumps({name: asdict(outcome(bench, CASES[name])) for name in cases}))


def spread(reference: Kept, found: Kept) -> tuple[dict[str, float], int]:
    """By column the largest difference of two outcomes, loose leaves left out; how many leaves are infinitely far: choices that turned."""
    kept = read(reference.case)
    loose = kept.columns() if kept else {}
    far = {name: [by for leaf, by in zip(loose.get(name, column), column, strict=True) if leaf != LOOSE]
           for name, column in differences(reference, found).items()}  # fmt: skip
    largest = {name: max((by for by in column if by != float("inf")), default=0.0) for name, column in far.items()}
    return largest, sum(by == float("inf") for column in far.values() for by in column)


def largest(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """By column the largest of several spreads, to two digits, without what never differed."""
    names = dict.fromkeys(name for one in found for name in one)
    most = {name: float(f"{max(one.get(name, 0.0) for one in found):.2g}") for name in names}
    return {name: by for name, by in most.items() if by}


def table(outcomes: Mapping[str, Mapping[str, Kept]]) -> dict[str, Any]:
    """By stage and case the largest difference from this processor, the same by column, and how many choices turned."""
    reference = outcomes[USUAL]
    far = {name: {where: spread(one, found[name]) for where, found in outcomes.items()} for name, one in reference.items()}
    other = {name: found.pop(BFLOAT16) for name, found in far.items() if BFLOAT16 in found}
    columns = {name: largest([by for by, _ in found.values()]) for name, found in far.items()}
    stages: dict[str, dict[str, float]] = {}
    for name, own in columns.items():
        stages.setdefault(reference[name].stage, {})[name] = max(own.values(), default=0.0)
    return {
        "environments": {name: ENVIRONMENTS[name] for name in outcomes if name != BFLOAT16},
        "stages": stages,
        "columns": columns,
        "turned": {name: turned for name, found in far.items() if (turned := max(count for _, count in found.values()))},
        "bfloat16": {name: [max(largest([by]).values(), default=0.0), turned] for name, (by, turned) in other.items()},
    }


def beside(before: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """A table of some cases beside the entries that other cases had before."""
    old, new = before["stages"], found["stages"]
    cases = {name for own in new.values() for name in own}

    def put(part: str) -> dict[str, Any]:
        both = {**before[part], **found[part]}
        return {case: by for case, by in both.items() if case in found[part] or case not in cases}

    stages = {stage: {**old.get(stage, {}), **new.get(stage, {})} for stage in {**old, **new}}
    return {"environments": before["environments"], "stages": stages} | {part: put(part) for part in ("columns", "turned", "bfloat16")}


def main(given: Sequence[str]) -> None:
    """Measure the cases that are named, or all."""
    before, done = json.loads(SPREAD.read_text(encoding="utf-8")), dict[str, Mapping[str, Kept]]()
    for name, changed in ENVIRONMENTS.items():
        done[name] = measured(changed, BFLOAT16 if name == BFLOAT16 else "float32", given or list(CASES))
        # After each, for they take minutes: what was measured counts although the rest is cut off.
        found = table(done)
        SPREAD.write_text(json.dumps(beside(before, found) if given else found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == [COMPUTE]:
        compute(Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
    else:
        main(sys.argv[1:])
