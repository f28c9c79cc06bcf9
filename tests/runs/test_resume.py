"""A killed computation goes on where it was: nothing half-done is kept, nothing finished is done again."""

import json
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from small_book import save_facts, save_model, tree

from mechlib.edit.delta import Delta
from mechlib.runs.runner import Runner
from mechlib.runs.store import Store
from mechlib.runs.study import Study

pytestmark = pytest.mark.precision

NEEDS = ("know", "baseline", "evidence", "localize", "edit", "prompting", "damage")
BEFORE_THE_KILL = 8
# Computes a study and stops for ever while it writes the result of one run.
PROGRAM = """
import json, sys, torch
from pathlib import Path
from mechlib.runs.runner import Runner
from mechlib.runs.store import Store
from mechlib.runs.study import Study

parameters, root, threads, complete, *needs = sys.argv[1:]
torch.set_num_threads(int(threads))
finish, written = Store.finish, []

def stop(store, scratch, spec, *rest):
    if len(written) == int(complete):
        (scratch / "rows.jsonl").write_text('{"subject": "half')
        sys.stdout.write("half-way\\n")
        sys.stdout.flush()
        sys.stdin.read()
    written.append(spec)
    finish(store, scratch, spec, *rest)

Store.finish = stop
study = Study(**json.loads(parameters))
Runner(study, Store(Path(root))).compute(spec for need in needs for _, spec in study.runs(need))
"""


@dataclass
class Killed:
    """A study whose computation was killed, what was complete then, and the same study computed at one go."""

    study: Study
    root: Path
    whole: Path
    complete: dict[str, int] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    computed: int = 0

    @property
    def wanted(self):
        return list({spec.id: spec for need in NEEDS for _, spec in self.study.runs(need)}.values())


def finished(root):
    return {path.parent.relative_to(root).as_posix(): path.stat().st_mtime_ns for path in root.glob("*/*/run.json")}


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    parameters = {
        "model": str(save_model(folder / "tiny")), "facts": str(save_facts(folder / "facts.csv")), "known_threshold": 0.0,
        "forget_set_size": 4, "forget_sets": 1, "steps": 2, "localizations": ["fact_lookup", "random"], "formats": ["one_shot", "cloze"],
    }  # fmt: skip
    found = Killed(Study(**parameters), folder / "runs", folder / "whole")
    arguments = [json.dumps(parameters), str(found.root), str(torch.get_num_threads()), str(BEFORE_THE_KILL), *NEEDS]
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert "half-way\n" in process.stdout
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    found.complete = finished(found.root)
    found.left = sorted(path.name for path in found.root.iterdir())
    found.computed = Runner(found.study, Store(found.root)).compute(found.wanted)
    Runner(found.study, Store(found.whole)).compute(found.wanted)
    return found


def test_the_kill_left_complete_runs_and_one_scratch_folder(killed):
    assert len(killed.complete) == BEFORE_THE_KILL
    assert sum(name.startswith(".scratch") for name in killed.left) == 1


def test_what_was_complete_is_not_computed_again(killed):
    after = finished(killed.root)
    assert {name: after[name] for name in killed.complete} == killed.complete
    assert killed.computed == len(after) - BEFORE_THE_KILL > 0


def test_nothing_but_complete_runs_is_left(killed):
    store = Store(killed.root)
    assert all(store.has(spec) for spec in killed.wanted)
    runs = set(finished(killed.root))
    assert {Path(name).parent.as_posix() for name in tree(killed.root)} == runs
    assert {path.relative_to(killed.root).as_posix() for path in killed.root.glob("*/*")} == runs
    assert [path.name for path in killed.root.iterdir() if not path.name.isalpha()] == []


def test_the_results_are_those_of_a_computation_at_one_go(killed):
    assert set(finished(killed.root)) == set(finished(killed.whole))
    one, other = Store(killed.root), Store(killed.whole)
    different = [
        spec.label for spec in killed.wanted
        if list(one.read(spec).rows) != list(other.read(spec).rows) or one.read(spec).value != other.read(spec).value
    ]  # fmt: skip
    assert different == []
    deltas = [Path(name) for name in tree(killed.root) if name.endswith(".safetensors")]
    assert len(deltas) == 2
    for name in deltas:
        first, second = Delta.load(killed.root / name), Delta.load(killed.whole / name)
        assert first == second
        assert first.provenance == second.provenance


def test_a_warm_study_loads_no_model(killed):
    runner = Runner(killed.study, Store(killed.root))
    assert runner.compute(killed.wanted) == 0
    assert runner.rows("prompting")
    assert "model" not in vars(runner.context)
