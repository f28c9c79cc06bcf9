"""How many mutants do the tests kill? ``python -m tests.mutation [--most 60] [--seed 0] [--jobs 1] [files]``."""

from __future__ import annotations

import argparse
import random
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.mutation.covering import COVERING
from tests.mutation.mutants import Mutant, mutants
from tests.mutation.trial import Trial, warm

ROOT = Path(__file__).parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent.toml")
HEAD = "| file | mutants | tried | killed | equivalent | survived |\n|---|---:|---:|---:|---:|---:|"


def equivalents(file: str) -> dict[str, str]:
    """Changes of a file that no test can see, each with the reason."""
    return {one["change"]: one["why"] for one in tomllib.loads(EQUIVALENT.read_text(encoding="utf-8")).get(file, [])}


def survivors(file: str, chosen: Sequence[Mutant], limit: float, jobs: int) -> Iterator[Mutant]:
    """The mutants that no test of the file kills, as they are found."""
    pending, running = list(reversed(chosen)), list[tuple[Mutant, Trial]]()
    while pending or running:
        while pending and len(running) < jobs:
            mutant = pending.pop()
            running.append((mutant, Trial(COVERING[file], limit, ROOT / file, mutant.source)))
        time.sleep(0.02)
        for mutant, trial in list(running):
            if not trial.running:
                running.remove((mutant, trial))
                if trial.survived:
                    yield mutant


def tried(file: str, most: int, seed: int, jobs: int) -> str:
    """One row of the table; the survivors are written as they are found."""
    start = time.monotonic()
    bare = Trial(COVERING[file], 600.0)
    warm(bare.imported())
    if not bare.survived:
        sys.exit(f"{file}: its tests fail without a mutant: {' '.join(COVERING[file])}")
    limit = 10 + 4 * (time.monotonic() - start)
    found, known = list(mutants((ROOT / file).read_text(encoding="utf-8"))), equivalents(file)
    told = [mutant for mutant in found if mutant.change not in known]
    chosen = random.Random(seed).sample(told, most) if len(told) > most else told
    left = 0
    for mutant in survivors(file, sorted(chosen, key=lambda one: one.line), limit, jobs):
        left += 1
        _say(f"survived: {file}:{mutant.line}: {mutant.change}")
    return f"| {file} | {len(found)} | {len(chosen)} | {len(chosen) - left} | {len(found) - len(told)} | {left} |"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """All files or those named, and their table."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("files", nargs="*", choices=[[], *COVERING], help="of the library (default: all that have tests named)")
    parser.add_argument("--most", type=int, default=60, help="mutants a file; where there are more, a sample (default 60)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--jobs", type=int, default=1, help="mutants tried at a time")
    given = parser.parse_args()
    rows = [tried(file, given.most, given.seed, given.jobs) for file in given.files or COVERING]
    _say("\n".join([HEAD, *rows]))


if __name__ == "__main__":
    main()
