"""SLURM: what SLURM= means, what a cluster refuses, and runs as jobs of a real one with one node, where its programs are installed."""

import subprocess
import sys
import time
from dataclasses import replace

import pytest
from slurm_node import NoSlurm, one_node
from small_book import save_facts, save_model

from mechlib.checks import ParameterError
from mechlib.runs import slurm
from mechlib.runs.cluster import Cluster, ClusterError
from mechlib.runs.engines import asked, place
from mechlib.runs.plan import check, plan
from mechlib.runs.runner import Runner
from mechlib.runs.slurm import SlurmJobs, on_slurm, settings
from mechlib.runs.store import Store
from mechlib.runs.study import Study


@pytest.mark.parametrize(("given", "found"), [
    ("", {}),
    ("partition=gpu gpus_per_node=1", {"partition": "gpu", "gpus_per_node": 1}),
    ("--partition=gpu --cpus-per-task=4", {"partition": "gpu", "cpus_per_task": 4}),
    ("mem_gb=64 timeout_min=30", {"mem": "64G", "time": 30}),
    ("mem=500M time=2:00:00", {"mem": "500M", "time": 120}),
    ("time=90:30", {"time": 91}), ("time=1-12", {"time": 2160}), ("time=1-0:30", {"time": 1470}), ("time=0:10", {"time": 1}),
    ("exclusive 'comment=two words'", {"exclusive": "true", "comment": "two words"}),
])  # fmt: skip
def test_settings_are_those_of_sbatch(given, found):
    assert settings(given) == found


@pytest.mark.parametrize("given", [
    "partition=", "=gpu", "'open", "nodes=2", "ntasks=4", "output=x", "time=soon", "time=", "mem=much", "a\nb=1 c=\x07", "UPPER=1", "--=3",
])  # fmt: skip
def test_what_is_no_setting_is_one_line(given):
    with pytest.raises(ParameterError, match="^SLURM") as raised:
        settings(given)
    assert "\n" not in str(raised.value)


def test_the_engine_is_named_and_slurm_belongs_to_it():
    assert (asked("", ""), asked("local", "")) == (None, None)
    assert asked("slurm", "partition=gpu") == {"partition": "gpu"}
    with pytest.raises(ParameterError, match="ENGINE='slrum'.*did you mean slurm"):
        asked("slrum", "")
    with pytest.raises(ParameterError, match="ENGINE=slurm: give both"):
        asked("", "partition=gpu")


def test_without_submitit_or_without_slurm_one_line_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(slurm.shutil, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ClusterError, match=r"needs submitit: python -m pip install 'mechlib\[slurm\]'"):
        SlurmJobs(tmp_path, {})
    monkeypatch.setitem(sys.modules, "submitit", slurm)
    with pytest.raises(ClusterError, match="needs sbatch, which is not here"):
        SlurmJobs(tmp_path, {})
    assert "needs sbatch, which is not here: use a host that submits to SLURM" in str(on_slurm({}, tmp_path, 3).refused)


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    pytest.importorskip("submitit", reason="submitit is not installed")
    folder = tmp_path_factory.mktemp("slurm")
    try:
        with one_node(folder):
            yield folder
    except NoSlurm as reason:
        pytest.skip(f"no SLURM: {reason}")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return Study(
        model=str(save_model(folder / "tiny")), facts=str(save_facts(folder / "facts.csv")), known_threshold=0.0, forget_set_size=4,
        forget_sets=1, steps=2, localizations=("fact_lookup",), formats=("one_shot",),
    )  # fmt: skip


def specs(study):
    return [spec for need in ("know", "edit") for _, spec in study.runs(need)]


@pytest.mark.parametrize(("given", "said"), [
    ("partition=gpu", "(?i)partition"),
    ("gpus_per_node=1", "(?i)generic resource"),
    ("mem=9G", "(?i)not available"),
    ("time=900", "time=900 is more than the 600 minutes"),
    ("no_such_option=1", "(?i)no-such-option"),
])  # fmt: skip
def test_a_plan_that_the_cluster_will_refuse_says_so(node, study, tmp_path, given, said):
    store, wanted = Store(tmp_path), [(study, specs(study))]
    made = plan(wanted, store, place(wanted, store, 2, settings(given)))
    with pytest.raises(ParameterError, match=said):
        check(made)
    assert str(made).splitlines()[-1].startswith("execute will refuse this: ")


def test_a_plan_knows_the_memory_and_the_time_that_jobs_get(node, study, tmp_path):
    store, wanted = Store(tmp_path), [(study, specs(study))]
    on = place(wanted, store, 2, settings(""))
    assert (on.free, on.accelerator, on.at_once, on.refused) == (2000 * 1024**2, False, 2, None)
    assert place(wanted, store, 2, settings("mem=1G")).free == 1024**3
    made = plan(wanted, store, on)
    check(made)
    assert "On SLURM" in str(made) and "2 at once: about" in str(made) and "refuse" not in str(made)


def test_what_a_killed_job_left_goes_on_and_the_next_command_waits_for_the_jobs_of_the_first(node, study, tmp_path):
    store, wanted, said = Store(tmp_path / "runs"), [(study, specs(study))], []
    jobs = SlurmJobs(tmp_path / "jobs", settings("cpus_per_task=1 time=10"))
    edit = study.edit("fact_lookup", 0, 0)
    # The first command ends as soon as it has submitted.
    with Cluster(wanted, store, jobs, 1, said.append, every=0.5):
        until(lambda: any("submitted" in line for line in said))
    (first,) = jobs.alive()
    assert [line for line in said if f"jobs {first} go on" in line]
    again: list[str] = []
    with Cluster(wanted, store, jobs, 1, again.append, every=0.5) as runs:
        # Without the lock of the edit the job cannot get to its end.
        with store.locked(edit):
            until(lambda: store.has(study.known))
            assert not [line for line in again if "submitted" in line]
            subprocess.run(["scancel", first], check=True)
            until(lambda: any(f"job {first} was ended" in line and "submitted again" in line for line in again))
        runs.wait(wanted)
    assert len([line for line in again if line.endswith("submitted")]) == 1
    Runner(study, alone := Store(tmp_path / "alone")).compute(specs(study))
    for spec in specs(study):
        assert [list(row) for row in store.read(spec).rows] == [list(row) for row in alone.read(spec).rows]


def test_what_stops_a_job_comes_out_in_one_line(node, study, tmp_path):
    broken = replace(study, seed=5)
    jobs = SlurmJobs(tmp_path / "jobs", settings("time=10 setup='exit 3'"))
    said: list[str] = []
    with Cluster([(broken, specs(broken))], Store(tmp_path / "runs"), jobs, 1, said.append, every=0.5) as runs, \
         pytest.raises(ClusterError, match="the 3rd without .*its log is in") as raised:  # fmt: skip
        runs.wait([(broken, specs(broken))])
    assert "FAILED" in str(raised.value) and "\n" not in str(raised.value)


def until(there, seconds=300):
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.2)
