"""How many mutants do the tests kill? ``python -m tests.mutation [--most 60] [--seed 0] [files]``."""

from __future__ import annotations

import argparse
import pickle
import random
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from tests.mutation.covering import COVERING
from tests.mutation.mutants import Mutant, mutants
from tests.mutation.trial import BROKEN, foreign, forked, in_session, run_imported, run_inside, warm

ROOT = Path(__file__).parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent.toml")
WORDS = {0: "survived", -1: "killed by time"}
HEAD = "| file | mutants | tried | killed | equivalent | survived |\n|---|---:|---:|---:|---:|---:|"


def equivalents(file: str) -> dict[str, str]:
    """Changes of a file that no test can see, each with the reason."""
    return {one["change"]: one["why"] for one in tomllib.loads(EQUIVALENT.read_text(encoding="utf-8")).get(file, [])}


def tried(file: str, most: int, seed: int) -> str:
    """One row of the table; survivors are written beside it."""
    path, tests, known = ROOT / file, COVERING[file], equivalents(file)
    found = list(mutants(path.read_text(encoding="utf-8")))
    told = [mutant for mutant in found if mutant.change not in known]
    chosen = random.Random(seed).sample(told, most) if len(told) > most else told
    codes, limits = list[tuple[Mutant, int]](), list[float]()

    def inside(run: Callable[[], int]) -> None:
        start = time.monotonic()
        if forked(run, 600.0):
            return
        limits.append(30 + 10 * (time.monotonic() - start))
        codes.extend((mutant, run_inside(run, path, mutant, limits[0])) for mutant in chosen if mutant.in_function)

    def session() -> int:
        with Path(folder, "found").open("wb") as report:
            in_session(tests, inside)
            pickle.dump((foreign(), codes, limits), report)
        return 0

    with tempfile.TemporaryDirectory() as folder:
        if forked(session, float("inf")):
            sys.exit(f"{file}: its tests cannot be run: {' '.join(tests)}")
        names, codes, limits = pickle.loads(Path(folder, "found").read_bytes())
    if not limits:
        sys.exit(f"{file}: its tests fail without a mutant: {' '.join(tests)}")
    warm(names)
    codes += [(mutant, run_imported(tests, path, mutant, limits[0])) for mutant in chosen if not mutant.in_function]
    if broken := [mutant for mutant, code in codes if code == BROKEN]:
        sys.exit(f"{file}:{broken[0].line}: this mutant cannot be tried: {broken[0].change}")
    # A fault that makes a loop endless is found as well, but on a busy machine so is what is merely slow.
    for mutant, word in ((mutant, WORDS[code]) for mutant, code in codes if code in WORDS):
        _say(f"{word}: {file}:{mutant.line}: {mutant.change}", sys.stderr)
    left = sum(code == 0 for _, code in codes)
    return f"| {file} | {len(found)} | {len(chosen)} | {len(chosen) - left} | {len(found) - len(told)} | {left} |"


def _say(line: str, where: TextIO) -> None:
    where.write(line + "\n")
    where.flush()


def main() -> None:
    """All files or those named, and their table."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("files", nargs="*", metavar="file", choices=[[], *COVERING], help="default: all in covering.py")
    parser.add_argument("--most", type=int, default=60, help="mutants a file; where there are more, a sample (default 60)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    given = parser.parse_args()
    _say(HEAD, sys.stdout)
    for file in given.files or COVERING:
        _say(tried(file, given.most, given.seed), sys.stdout)


if __name__ == "__main__":
    main()
