"""Ray: what RAY= means, what is refused before a run, and runs as tasks of a real Ray on this computer, where its package is installed."""

import os
import pickle
import signal
import subprocess
import sys
import time
from contextlib import ExitStack

import psutil
import pytest
from small_book import save_facts, save_model

from mechlib.checks import ParameterError
from mechlib.runs import ray as engine
from mechlib.runs.cluster import ClusterError
from mechlib.runs.engines import asked, place
from mechlib.runs.plan import check, plan
from mechlib.runs.ray import RayJobs, Worker, on_ray, worker
from mechlib.runs.runner import Runner
from mechlib.runs.store import Store
from mechlib.runs.study import Study


@pytest.mark.parametrize(("given", "found"), [
    ("", Worker("auto", 1, 0, None)),
    ("address=head:6379 num_gpus=1 num_cpus=2", Worker("head:6379", 2, 1, None)),
    ("num_gpus=0.5 memory=2G", Worker("auto", 1, 0.5, 2 * 1024**3)),
    ("num_gpus=.25 memory=500MB", Worker("auto", 1, 0.25, 500 * 1024**2)),
])  # fmt: skip
def test_settings_are_those_of_ray(given, found):
    assert worker(given) == found


@pytest.mark.parametrize("given", [
    "num_gpu=1", "num_cpus=0", "num_cpus=1.5", "num_cpus=", "num_cpus", "num_gpus=-1", "num_gpus=1.5", "num_gpus=many", "memory=64",
    "memory=much", "address=", "'open", "a\nb=1",
])  # fmt: skip
def test_what_is_no_setting_is_one_line(given):
    with pytest.raises(ParameterError, match="^RAY") as raised:
        worker(given)
    assert "\n" not in str(raised.value)


def test_the_engine_is_named_and_ray_belongs_to_it():
    assert asked("ray", ray="num_gpus=1") == Worker(num_gpus=1)
    for other in ("", "local", "slurm"):
        with pytest.raises(ParameterError, match=r"RAY= is given without ENGINE=ray: give both"):
            asked(other, ray="num_gpus=1")
    with pytest.raises(ParameterError, match=r"SLURM= is given without ENGINE=slurm"):
        asked("ray", slurm="partition=gpu")


def test_without_its_package_one_line_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match=r"^ENGINE=ray needs ray: python -m pip install 'mechlib\[ray\]'"):
        RayJobs(tmp_path, Worker())
    assert "needs ray" in str(on_ray(Worker(), 3).refused)


@pytest.fixture(scope="module")
def address():
    """A Ray on this computer: two places for workers, and a GPU that it believes in."""
    ray = pytest.importorskip("ray", reason="ray is not installed (the extra 'ray' of pyproject.toml)")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patched.setenv("OMP_NUM_THREADS", "1")
        there = ray.init("local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        yield there.address_info["gcs_address"]
        ray.shutdown()


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return Study(
        model=str(save_model(folder / "tiny")), facts=str(save_facts(folder / "facts.csv")), known_threshold=0.0, forget_set_size=4,
        forget_sets=1, steps=2, localizations=("fact_lookup",), formats=("one_shot",),
    )  # fmt: skip


def specs(study):
    return [spec for need in ("know", "edit") for _, spec in study.runs(need)]


def test_a_ray_that_does_not_answer_is_one_line_at_once(monkeypatch, tmp_path):
    pytest.importorskip("ray", reason="ray is not installed (the extra 'ray' of pyproject.toml)")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for given in ("address=127.0.0.1:1", "address=ray://127.0.0.1:1", "address=127.0.0.1:port"):
        with pytest.raises(ClusterError, match=r"^Ray \(address=.*does not answer.*ray start --head") as raised:
            RayJobs(tmp_path, worker(given))
        assert "\n" not in str(raised.value)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    assert "refused" in str(on_ray(worker(""), None).refused)


def test_a_plan_knows_how_many_workers_there_can_be_and_says_which_there_cannot(address, study, tmp_path):
    store, wanted = Store(tmp_path), [(study, specs(study))]
    for given, jobs, at_once in (("", None, 2), ("num_cpus=2", None, 1), ("num_gpus=0.5", None, 2), ("num_gpus=1", None, 1), ("", 3, 3)):
        on = place(wanted, store, jobs, worker(given))
        assert (on.at_once, on.refused, on.accelerator) == (at_once, None, "gpus" in given)
    one, other = (on_ray(worker(given), None).free for given in ("", "num_cpus=2"))
    assert abs(other - 2 * one) < 2  # two workers share the memory that one has for itself
    assert on_ray(worker("memory=100M"), None).free == 100 * 1024**2 and on_ray(worker("num_gpus=1"), None).free is None
    for given in ("num_cpus=3", "num_gpus=2", "memory=9000G"):
        made = plan(wanted, store, place(wanted, store, None, worker(given)))
        with pytest.raises(ParameterError, match=rf"^no node of Ray \(.*{given[:5]}.*ask for less with RAY="):
            check(made)
        assert str(made).splitlines()[-1].startswith("execute will refuse this: no node of Ray")


def test_a_worker_keeps_its_model_from_task_to_task_and_lets_go_of_it_for_another(study, tmp_path):
    store = Store(tmp_path)
    first, again, other = (engine._runners(Store(tmp_path), model) for model in (study.model, study.model, "other"))
    assert first is again and first is not other
    assert engine._job(tmp_path / "log", 1, store, [(study, [study.known])]).error is None
    loaded = engine._runners(store, study.model).of(study).model
    assert engine._job(tmp_path / "log", 1, store, [(study, specs(study))]).error is None
    assert engine._runners(store, study.model).of(study).model is loaded
    assert "edit: Fact lookup" in (tmp_path / "log").read_text()


def test_what_stops_a_worker_is_told_and_what_nobody_expects_has_its_log(address, study, tmp_path):
    jobs, wanted = RayJobs(tmp_path / "jobs", Worker()), [(study, specs(study))]
    broken = jobs.submit(Store(tmp_path / "runs"), [])
    until(lambda: broken not in jobs.alive())
    told = jobs.outcome(broken)
    assert told.error.startswith("IndexError: ") and "_job" in (tmp_path / "jobs" / f"{broken}.log").read_text()
    with Store(tmp_path / "runs").locked(study.known):  # without which its worker cannot get to its end
        waits = jobs.submit(Store(tmp_path / "runs"), wanted)
        assert jobs.alive()[waits] in ("pending", "running")
        assert jobs.leave([waits]).startswith("1 tasks end with this command")
        until(lambda: waits not in jobs.alive())
    assert jobs.outcome(waits).startswith("was ended by Ray (")


def test_what_a_killed_worker_has_left_is_computed_again_and_the_rows_are_those_of_one_process(address, study, tmp_path):
    from ray_driver import CountingStore, driver

    store, wanted, said = CountingStore(tmp_path / "runs"), [(study, specs(study))], []
    edit = study.edit("fact_lookup", 0, 0)
    with driver(address, store, wanted, said.append) as runs:
        # Without the lock of the edit its worker cannot get to its end.
        with store.locked(edit):
            until(lambda: store.has(study.known) and any("running" in line for line in said))
            (at_work,) = workers()
            at_work.send_signal(signal.SIGKILL)
            until(lambda: any("was ended by Ray (WorkerCrashedError)" in line and "submitted again" in line for line in said))
        runs.wait(wanted)
    Runner(study, alone := Store(tmp_path / "alone")).compute(specs(study))
    assert sorted(store.computed()) == sorted(path.parent.name for path in alone.root.glob("*/*/run.json"))
    for spec in specs(study):
        assert [list(row) for row in store.read(spec).rows] == [list(row) for row in alone.read(spec).rows]


def test_a_killed_command_loses_nothing_and_two_commands_compute_no_run_twice(address, study, tmp_path):
    from ray_driver import CountingStore, driver

    store, wanted, said = CountingStore(tmp_path / "runs"), [(study, specs(study))], []
    store.root.mkdir()
    (tmp_path / "wanted").write_bytes(pickle.dumps(wanted))
    command = [sys.executable, "-m", "ray_driver", address, str(store.root), str(tmp_path / "wanted")]
    edit, out = study.edit("fact_lookup", 0, 0), (tmp_path / "out").open("w")

    def another():
        path = os.pathsep.join(entry for entry in sys.path if entry)
        return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, stdout=out, stderr=out)

    with ExitStack() as lock:
        lock.enter_context(store.locked(edit))
        killed = another()
        until(lambda: store.has(study.known) and workers())
        killed.kill()
        killed.wait()
        until(lambda: not workers())
        done, second = store.computed(), another()
        with driver(address, store, wanted, said.append) as runs:
            until(lambda: len(workers()) == 2)  # each command has its worker at the edit
            lock.close()
            runs.wait(wanted)
    assert second.wait(300) == 0, (tmp_path / "out").read_text()
    computed = store.computed()
    assert len(computed) == len(set(computed)) and edit.id in computed and study.known.id in done
    assert all(store.has(spec) for spec in specs(study))


def workers():
    """The processes of Ray that compute runs just now, whichever command they are of."""
    return [process for process in psutil.Process().children(recursive=True) if process.name().startswith("ray::_job")]


def until(there, seconds=300):
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.1)
