"""Runs as jobs: grouped by model, the same rows as in one process, nothing twice, and what a killed job leaves goes on."""

import json
import os
import shutil
import signal
import threading
import time
from dataclasses import dataclass, field, replace

import psutil
import pytest
from small_book import save_facts, save_model

from mechlib.runs.cluster import Cluster, ClusterError, Outcome, next_group, work
from mechlib.runs.runner import Runner, Runners
from mechlib.runs.spec import RunSpec, Stage
from mechlib.runs.store import Store
from mechlib.runs.study import Study
from mechlib.runs.work import Result


def run(name, seconds=1.0, model="a", **inputs):
    return RunSpec(Stage("any", 1, Result, float(seconds)), name, {"name": name, "model": model}, inputs)


def group(runs, running=(), most=2):
    return [spec.label for spec in next_group({spec.id: spec for spec in runs}, running, lambda spec: spec.settings["model"], most)]


def test_a_group_is_a_share_of_one_models_runs_with_what_they_start_from():
    known = run("known", 4)
    edits = [run(f"edit{n}", 2, known=known) for n in range(3)]
    attacks = [run(f"attack{n}", 3, edit=edit) for n, edit in enumerate(edits)]
    other = run("other", 100, model="b")
    everything = [known, *edits, *attacks, other]
    # 4 + 3 x 2 + 3 x 3 = 19 seconds of model a: half of them are reached with known, edits 0 to 2.
    assert group(everything) == ["known", "edit0", "edit1", "edit2"]
    assert group(everything, most=1) == ["known", "edit0", "edit1", "edit2", "attack0", "attack1", "attack2"]
    # What starts from a run that is at work must wait; another model need not.
    assert group([*edits, *attacks, other], running={known.id}) == ["other"]
    # An attack comes with its edit, or when the edit is done.
    assert group([edits[1], attacks[1], edits[2], attacks[2]]) == ["edit1", "attack1"]
    assert group([attacks[0], edits[1], attacks[1]], running={edits[0].id}, most=1) == ["edit1", "attack1"]
    assert group([], most=3) == []


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    return Study(
        model=str(save_model(folder / "tiny")), facts=str(save_facts(folder / "facts.csv")), known_threshold=0.0, forget_set_size=4,
        forget_sets=1, steps=2, localizations=("fact_lookup", "random_mlps"), formats=("one_shot",),
    )  # fmt: skip


def specs(study):
    return [spec for need in ("know", "evidence", "edit") for _, spec in study.runs(need)]


@dataclass
class Scripted:
    """A cluster whose jobs do, when they are looked at, what the test says: a list of functions of the job's store and runs."""

    folder: object
    script: list
    jobs: dict = field(default_factory=dict)
    outcomes: dict = field(default_factory=dict)
    mend: str = "ask for more with SLURM="

    def submit(self, store, wanted):
        name = str(len(self.jobs) + 1)
        self.jobs[name] = [spec.id for _, specs in wanted for spec in specs]
        self.outcomes[name] = (self.script.pop(0) if len(self.script) > 1 else self.script[0])(store, wanted)
        return name

    def alive(self):
        return {}

    def outcome(self, job):
        return self.outcomes[job]

    def leave(self, jobs):
        return f"jobs {' '.join(jobs)} go on"


def killed(store, wanted):
    return "was ended (OUT_OF_MEMORY)"


def killed_after(count):
    def some(store, wanted):
        (study, runs), *_ = wanted
        Runner(study, store).compute(runs[:count])
        return "was ended (TIMEOUT)"

    return some


def engine(study, tmp_path, *script, most=1, said=None):
    (tmp_path / "jobs").mkdir(exist_ok=True)
    jobs = Scripted(tmp_path / "jobs", list(script))
    say = (lambda _: None) if said is None else said.append
    return jobs, Cluster([(study, specs(study))], Store(tmp_path / "runs"), jobs, most, say, every=0.01)


def test_what_a_killed_job_has_left_is_submitted_again_and_nothing_else(study, tmp_path):
    said: list[str] = []
    jobs, cluster = engine(study, tmp_path, killed_after(2), killed, work, said=said)
    with cluster as runs:
        runs.wait([(study, specs(study))])
    first, second, third = jobs.jobs.values()
    assert second == third == first[2:]
    assert [line for line in said if "job 1 was ended (TIMEOUT)" in line and f"{len(second)} runs are submitted again" in line]
    assert all(Store(tmp_path / "runs").has(spec) for spec in specs(study))
    assert not list((tmp_path / "jobs").glob("*.runs"))


def test_a_run_at_which_three_jobs_die_is_given_up_in_one_line(study, tmp_path):
    jobs, cluster = engine(study, tmp_path, killed)
    with cluster as runs, pytest.raises(ClusterError, match=r"^job 3 was ended \(OUT_OF_MEMORY\), the 3rd without '.*SLURM=.*kept$"):
        runs.wait([(study, specs(study))])
    assert len(jobs.jobs) == 3


def test_progress_between_two_deaths_is_no_reason_to_give_up(study, tmp_path):
    jobs, cluster = engine(study, tmp_path, *[killed_after(1)] * 5, work)
    with cluster as runs:
        runs.wait([(study, specs(study))])
    assert len(jobs.jobs) == 6


def test_what_stops_a_job_stops_the_command_and_says_so(study, tmp_path):
    _, cluster = engine(study, tmp_path, lambda store, wanted: Outcome({}, "tiny needs about 9 GB: set PRECISION=bfloat16"))
    with cluster as runs, pytest.raises(ClusterError, match="^job 1: tiny needs about 9 GB: set PRECISION=bfloat16$"):
        runs.wait([(study, specs(study))])


def test_a_run_that_cannot_be_had_is_noted_with_why_and_the_others_are_done(study, tmp_path):
    small = replace(study, forget_set_size=100)
    store, both = Store(tmp_path / "runs"), [(study, specs(study)), (small, specs(small))]
    (tmp_path / "jobs").mkdir()
    with Cluster(both, store, Scripted(tmp_path / "jobs", [work]), 2, lambda _: None, every=0.01) as runs:
        runs.wait(both)
    here = Runners(Store(tmp_path / "here"))
    here.wait(both)
    assert runs.impossible == here.impossible != {}
    assert all(store.has(spec) for spec in specs(study))


def test_an_error_that_nobody_expects_reaches_whoever_waits(study, tmp_path):
    def broken(store, wanted):
        raise ClusterError("SLURM takes no job: Invalid account")

    _, cluster = engine(study, tmp_path, broken)
    with cluster as runs, pytest.raises(ClusterError, match="Invalid account"):
        runs.wait([(study, specs(study))])


def test_a_cluster_that_does_not_answer_for_a_while_is_waited_for(study, tmp_path):
    jobs, cluster = engine(study, tmp_path, work)
    answers = iter([{}, ClusterError("no answer"), ClusterError("no answer"), {}])

    def alive():
        answer = next(answers, {})
        if isinstance(answer, Exception):
            raise answer
        return answer

    jobs.alive = alive
    with cluster as runs:
        runs.wait([(study, specs(study))])
    jobs.alive = lambda: (_ for _ in ()).throw(ClusterError("no answer"))
    shutil.rmtree(tmp_path / "runs")
    silent = Cluster([(study, specs(study))], Store(tmp_path / "runs"), jobs, 1, lambda _: None, every=0.01)
    with silent as runs, pytest.raises(ClusterError, match="no answer"):
        runs.wait([(study, specs(study))])


def test_jobs_of_a_command_that_died_are_waited_for_not_submitted_again(study, tmp_path):
    store, wanted = Store(tmp_path / "runs"), [(study, specs(study))]
    everything = [spec.id for spec in Runner(study, store).missing(specs(study))]
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "7.runs").write_text(json.dumps(everything))
    (tmp_path / "jobs" / "6.runs").write_text(json.dumps(everything))  # ended long ago
    jobs, seen = Scripted(tmp_path / "jobs", [work]), threading.Event()
    jobs.alive = lambda: seen.set() or {"7": "running", "8": "pending"}
    with Cluster(wanted, store, jobs, 2, lambda _: None, every=0.01) as runs:
        assert seen.wait(60)
        Runner(study, store).compute(specs(study))
        runs.wait(wanted)
    assert jobs.jobs == {}
    assert not (tmp_path / "jobs" / "6.runs").exists() and (tmp_path / "jobs" / "7.runs").exists()


def local_jobs(folder):
    pytest.importorskip("submitit", reason="submitit is not installed")
    from local_jobs import LocalJobs

    return LocalJobs(folder)


def test_two_submitters_compute_nothing_twice_and_the_rows_are_those_of_one_process(study, tmp_path):
    store, wanted = Store(tmp_path / "runs"), [(study, specs(study))]
    engines = [Cluster(wanted, store, local_jobs(tmp_path / f"jobs{n}"), 1, lambda _: None, every=0.1) for n in range(2)]
    with engines[0] as one, engines[1] as other:
        one.wait(wanted)
        other.wait(wanted)
    computed = (store.root / "computed").read_text().split()
    assert sorted(computed) == sorted(spec.id for spec in Runner(study, Store(tmp_path / "none")).missing(specs(study)))
    assert all(len(engine._jobs.submitted) == 1 for engine in engines)
    alone = Store(tmp_path / "alone")
    Runner(study, alone).compute(specs(study))
    for spec in specs(study):
        assert [list(row) for row in store.read(spec).rows] == [list(row) for row in alone.read(spec).rows]


def test_a_job_that_is_killed_for_real_is_made_up_for(study, tmp_path):
    store, wanted, jobs = Store(tmp_path / "runs"), [(study, specs(study))], local_jobs(tmp_path / "jobs")
    said: list[str] = []
    edit = study.edit("fact_lookup", 0, 0)
    with Cluster(wanted, store, jobs, 1, said.append, every=0.1) as runs:
        # Without the lock of an edit the job cannot get to its end.
        with store.locked(edit):
            until(lambda: store.has(study.known))
            for child in psutil.Process(int(next(iter(jobs.jobs)))).children(recursive=True):
                os.kill(child.pid, signal.SIGKILL)
            until(lambda: any("was killed" in line for line in said))
        runs.wait(wanted)
    assert len(jobs.submitted) == 2 and set(jobs.submitted[1]) < set(jobs.submitted[0]) and edit.id in jobs.submitted[1]
    assert store.has(edit)


def until(there, seconds=300):
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.1)
