"""A stand-in for a cluster: submitit's jobs as processes of this computer."""

from __future__ import annotations

import sys
from pathlib import Path

import cloudpickle
import submitit

from mechlib.runs.board import Wanted
from mechlib.runs.cluster import Outcome, work
from mechlib.runs.store import Store

# Jobs do not see the tests' helpers.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


def counted(store: Store, wanted: Wanted) -> Outcome:
    """The work of a job, which notes each run that it computes in a file beside the runs."""
    finish = Store.finish

    def noted(self, scratch, spec, result, seconds):
        with (store.root / "computed").open("a") as file:
            file.write(f"{spec.id}\n")
        finish(self, scratch, spec, result, seconds)

    Store.finish = noted
    return work(store, wanted)


class LocalJobs:
    """What the engine asks of a cluster, of processes. ``submitted``: the runs of each job, by id, in the order of submission."""

    mend = "ask for more"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs: dict[str, submitit.Job] = {}
        self.submitted: list[list[str]] = []
        self.executor = submitit.LocalExecutor(folder)
        self.executor.update_parameters(timeout_min=10)

    def submit(self, store: Store, wanted: Wanted) -> str:
        job = self.executor.submit(counted, store, wanted)
        self.jobs[job.job_id] = job
        self.submitted.append([spec.id for _, specs in wanted for spec in specs])
        return job.job_id

    def alive(self):
        return {name: "running" for name, job in self.jobs.items() if not job.done()}

    def outcome(self, job: str) -> Outcome | str:
        done = self.jobs[job]
        if not done.paths.result_pickle.exists():
            return "was killed"
        error = done.exception()
        return done.result() if error is None else Outcome({}, str(error).splitlines()[-1])

    def leave(self, jobs) -> str:
        return f"jobs {' '.join(jobs)} go on"
