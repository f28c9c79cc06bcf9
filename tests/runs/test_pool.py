"""Several runs at once: the same runs as one after the other, inputs first; a run that fails stops the others and loses nothing."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from types import SimpleNamespace

import pytest
from small_book import save_facts, save_model

from mechlib.checks import ParameterError
from mechlib.models import ModelError
from mechlib.runs.engines import at_once, place
from mechlib.runs.memory import memory
from mechlib.runs.plan import Machine, Plan
from mechlib.runs.pool import Pool, PoolError, room
from mechlib.runs.runner import Runner, Runners
from mechlib.runs.store import Store
from mechlib.runs.study import Study

pytestmark = pytest.mark.precision

NEEDS = ("know", "evidence", "localize")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pool")
    return Study(
        model=str(save_model(folder / "tiny")), facts=str(save_facts(folder / "facts.csv")), known_threshold=0.0, forget_set_size=4,
        forget_sets=1, steps=2, localizations=("fact_lookup", "causal_tracing_mlps", "random_mlps"), formats=("one_shot",),
    )  # fmt: skip


def specs(study):
    return [spec for need in NEEDS for _, spec in study.runs(need)]


def test_the_same_runs_as_one_after_the_other(study, tmp_path):
    said, stores = [], {jobs: Store(tmp_path / str(jobs)) for jobs in (1, 2)}
    Runner(study, stores[1]).compute(specs(study))
    with Pool([(study, specs(study))], stores[2], 2, said.append) as pool:
        pool.wait([(study, specs(study)[:1])])
        assert stores[2].has(study.known)
        pool.wait([(study, specs(study))])
    ids = {jobs: sorted(path.parent.name for path in store.root.glob("*/*/run.json")) for jobs, store in stores.items()}
    assert ids[1] == ids[2] and len(said) == len(ids[1])
    chosen = [[store.read(spec).value for spec in specs(study) if spec.stage.name == "localize"] for store in stores.values()]
    assert chosen[0] == chosen[1]


def test_what_a_run_raises_comes_out_and_finished_runs_stay(study, tmp_path):
    """A model whose weights are gone when its turn comes: that says nothing about what it knows, so it is no impossible run."""
    shutil.copytree(study.model, tmp_path / "other")
    store, broken = Store(tmp_path / "runs"), replace(study, model=str(tmp_path / "other"), known_format="one_shot")
    wanted = [(study, [study.known]), (broken, [broken.known])]
    (tmp_path / "other" / "model.safetensors").write_bytes(b"")
    with Pool(wanted, store, 2, lambda _: None) as pool, pytest.raises(ModelError):
        pool.wait(wanted)
    assert store.has(study.known)
    assert not list(store.root.glob(".scratch*"))


class Broken:
    """Workers of which one dies before task number ``at`` is theirs."""

    def __init__(self, workers, at):
        self.workers, self.left = workers, at

    def submit(self, *task):
        self.left -= 1
        if self.left < 0:
            raise BrokenProcessPool("a child process terminated abruptly")
        return self.workers.submit(*task)

    def shutdown(self, **how):
        self.workers.shutdown(**how)


@pytest.mark.parametrize("at", [0, 1])
def test_a_worker_that_dies_between_two_runs_is_told_and_nobody_waits_for_it(study, tmp_path, at):
    """As the first run is given away, and as the next one is, which happens where nobody would hear of it."""
    wanted = [(study, specs(study))]
    pool = Pool(wanted, Store(tmp_path), 2, lambda _: None)
    pool._workers = Broken(pool._workers, at)
    # One that was starting at that moment, which the executor would join and never end.
    starting = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))
    starting.start()
    with pytest.raises(PoolError, match=r"^a process that computed runs has died"), pool:
        pool.wait(wanted)
    starting.join(60)
    assert starting.exitcode == -signal.SIGKILL


def test_whatever_else_goes_wrong_between_two_runs_is_told_too(study, tmp_path, monkeypatch):
    wanted, looked = [(study, specs(study))], []

    def gone(self, spec):
        if looked:
            raise OSError("the disk is gone")
        looked.append(spec)
        return False

    monkeypatch.setattr(Pool, "settled", gone)
    with Pool(wanted, Store(tmp_path), 2, lambda _: None) as pool, pytest.raises(OSError, match="the disk is gone"):
        pool.wait(wanted)


def test_workers_that_die_before_they_have_begun_are_one_line(study, tmp_path, monkeypatch):
    monkeypatch.setattr("mechlib.runs.pool.ProcessPoolExecutor", lambda *_: Broken(None, 0))
    with pytest.raises(PoolError, match=r"^a process that computed runs has died"):
        Pool([(study, specs(study))], Store(tmp_path), 2, lambda _: None)


def test_a_run_that_cannot_be_had_is_noted_with_all_that_starts_from_it(study, tmp_path):
    """Nothing is known so surely: the facts are asked, and there is nothing to divide. Another study is not held up."""
    store, knows_nothing = Store(tmp_path), replace(study, known_threshold=0.99)
    edits, answers = ([spec for _, spec in knows_nothing.runs(need)] for need in ("edit", "prompting"))
    wanted = [(knows_nothing, [*edits, *answers]), (study, specs(study))]
    with Pool(wanted, store, 2, lambda _: None) as pool:
        pool.wait(wanted)
    assert all(store.has(spec) for spec in (*specs(study), knows_nothing.known))
    assert {spec.id for spec in (*edits, *answers)} <= pool.impossible.keys()
    assert not any(store.has(spec) for spec in (*edits, *answers))
    assert all("0 facts" in reason and "KNOWN_THRESHOLD" in reason for reason in pool.impossible.values())
    alone = Runner(knows_nothing, store)
    alone.attempt([*edits, *answers])
    assert alone.impossible == {key: reason for key, reason in pool.impossible.items() if key in alone.impossible}
    assert {spec.id for spec in (*edits, *answers)} <= alone.impossible.keys()


def test_processes_are_what_cores_and_memory_hold_and_one_for_one_run(study, tmp_path, monkeypatch):
    made, store = Plan({"trace": 3}, {"trace": 9.0}, None), Store(tmp_path)
    monkeypatch.setattr("psutil.cpu_count", lambda logical: 4)
    monkeypatch.setattr("torch.accelerator.current_accelerator", lambda check_available=False: None)
    assert (room([study], store, 100 * 10**9), room([study], store, 7 * 10**9)) == (4, 2)
    here = [(study, specs(study))]
    assert (place(here, store, 3).at_once, place(here, store, 1).at_once) == (3, 1)
    for missing, jobs in (({"trace": 1}, 4), ({"trace": 3}, 1), ({}, 4)):
        with at_once([], store, lambda _: None, replace(made, missing=missing, machine=Machine("a machine", 1, at_once=jobs))) as runs:
            assert isinstance(runs, Runners)


def test_an_accelerator_holds_as_many_processes_as_memories_and_cores_allow(study, tmp_path, monkeypatch):
    store, large = Store(tmp_path), Study(model="llama-3-8b", precision="bfloat16")
    monkeypatch.setattr("mechlib.runs.specs.localizing.fingerprint", lambda spec: spec.name)
    monkeypatch.setattr("torch.accelerator.current_accelerator", lambda check_available=False: "cuda")
    monkeypatch.setattr("torch.accelerator.is_available", lambda: True)

    def held(one, card, computer=10**12, cores=64):
        monkeypatch.setattr("psutil.cpu_count", lambda logical: cores)
        monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=computer))
        return room([one], store, card)

    # 10 GB of a card each, 3 GB of the computer, a core.
    assert (held(study, 149 * 10**9), held(study, 80 * 10**9), held(study, 9 * 10**9)) == (14, 8, 0)
    assert (held(study, 149 * 10**9, cores=12), held(study, 149 * 10**9, computer=7 * 10**9)) == (12, 2)
    largest = max(memory(large, large.edit(key, 0, 0), store, accelerator=True).total for key in large.localizations or ())
    assert largest > 30 * 10**9
    assert (held(large, 4 * largest), held(large, 4 * largest - 1)) == (4, 3)
    # Each has 16 GB of weights in the computer's memory while it loads.
    assert held(large, 10**12, computer=40 * 10**9) == 2


def test_a_large_model_gets_one_process_even_if_nothing_is_edited(monkeypatch, tmp_path):
    """As many as the largest of its edits goes into the memory, and one where it does not: a plan then says why it is refused."""
    monkeypatch.setattr("mechlib.runs.specs.localizing.fingerprint", lambda spec: spec.name)
    monkeypatch.setattr("psutil.cpu_count", lambda logical: 4)
    monkeypatch.setattr("torch.accelerator.current_accelerator", lambda check_available=False: None)
    large, store = Study(model="llama-3-8b", precision="float32"), Store(tmp_path)
    largest = max(memory(large, large.edit(key, 0, 0), store, accelerator=False).total for key in large.localizations or ())
    assert [room([large], store, free) for free in (9 * largest, 2 * largest, largest, largest - 1)] == [4, 2, 1, 0]
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=largest - 1, total=largest - 1))
    assert place([(large, [large.known])], store, None).at_once == 1


def test_a_run_whose_rows_alone_are_kept_is_computed_once(study, tmp_path):
    store = Store(tmp_path / "runs", tmp_path / "rows")
    edit = study.runs("edit")[0][1]
    Runner(study, store).compute([edit])
    store.keep(edit)
    shutil.rmtree(store.folder(edit))
    damage = study.runs("damage")[0][1]
    said: list[str] = []
    with Pool([(study, [damage])], store, 2, said.append) as pool:
        pool.wait([(study, [damage])])
    # The weights were wanted again, and made before what needs them, not inside it.
    assert [line for line in said if "edit" in line] and store.has(edit, files=True) and store.has(damage)
    made = [(store.folder(spec) / "run.json").stat().st_mtime_ns for spec in (edit, damage)]
    assert made[0] < made[1]


def test_jobs_is_a_number():
    from mechlib.__main__ import jobs

    assert (jobs(""), jobs("3")) == (None, 3)
    for wrong in ("0", "two", "-1"):
        with pytest.raises(ParameterError, match="JOBS="):
            jobs(wrong)


PROGRAM = """
import json, sys
from pathlib import Path
from mechlib.runs.pool import Pool
from mechlib.runs.store import Store
from mechlib.runs.study import Study

if __name__ == "__main__":
    study = Study(**json.loads(sys.argv[1]))
    specs = [spec for need in ("evidence", "edit") for _, spec in study.runs(need)]
    with Pool([(study, specs)], Store(Path(sys.argv[2])), 2, lambda line: print(line, flush=True)) as pool:
        pool.wait([(study, specs)])
"""


def test_workers_end_with_a_parent_that_is_killed(study, tmp_path):
    import json

    import psutil

    (tmp_path / "program.py").write_text(PROGRAM)
    given = {name: getattr(study, name) for name in ("model", "facts", "known_threshold", "forget_set_size", "forget_sets")}
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "program.py"), json.dumps({**given, "steps": 500, "stop_at": 1}), str(tmp_path / "runs")],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert parent.stdout is not None and "run 1/" in parent.stdout.readline()
    workers = psutil.Process(parent.pid).children(recursive=True)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 60
    while any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert workers and not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers)
