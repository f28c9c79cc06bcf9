"""SLURM, by submitit: what ``SLURM=`` says is given to sbatch, and jobs run :func:`mechlib.runs.cluster.work`."""

from __future__ import annotations

import getpass
import importlib
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mechlib.checks import ParameterError
from mechlib.errors import one_line, shown
from mechlib.runs.board import Wanted
from mechlib.runs.cluster import ClusterError, Outcome, megabytes, words, work
from mechlib.runs.plan import Machine
from mechlib.runs.store import Store

Settings = Mapping[str, str | int]

# What the engine decides, or what would make a job of several processes.
_FIXED = ("array", "error", "folder", "job_name", "nodes", "ntasks", "ntasks_per_node", "open_mode", "output", "signal", "tasks_per_node")
# Minutes of a job where nobody says. A job that is ended goes on in the next one, so it need only be longer than one run.
_MINUTES = 240


def settings(given: str) -> Settings:
    """``"partition=gpu gpus_per_node=1 time=2:00:00"`` by name, as sbatch calls its options.

    Raises :class:`ParameterError` for what is no setting. Whether a cluster takes it, :func:`on_slurm` says.
    """
    found: dict[str, str | int] = {}
    for word in words("SLURM", given):
        name, equals, value = word.lstrip("-").partition("=")
        name = {"timeout_min": "time", "mem_gb": "mem"}.get(name.replace("-", "_"), name.replace("-", "_"))
        if not re.fullmatch(r"[a-z]+(_[a-z]+)*", name) or (equals and not value.strip()) or not value.isprintable():
            raise ParameterError(f'SLURM: {shown(word)} is no setting: give some such as "partition=gpu gpus_per_node=1 time=120"')
        if name in _FIXED:
            raise ParameterError(f"SLURM: {name} is set by the engine, whose jobs are one process each: leave it out")
        found[name] = int(value) if value.isascii() and value.isdecimal() and len(value) < 10 else value
        if name == "time":
            found[name] = _minutes(value)
        elif name == "mem" and "mem_gb" in word.replace("-", "_"):
            found[name] = f"{value}G"
        elif not equals:
            found[name] = "true"
    if "mem" in found and megabytes(str(found["mem"])) is None:
        raise ParameterError(f"SLURM: mem={shown(found['mem'])}: give the memory of a job, such as mem=64G")
    return found


def _minutes(value: str) -> int:
    """What sbatch writes as minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes[:seconds]."""
    parts = re.fullmatch(r"(?:(\d{1,4})-)?(\d{1,6})(?::(\d{1,2}))?(?::(\d{1,2}))?", value, re.ASCII)
    if not parts:
        raise ParameterError(f"SLURM: time={shown(value)}: give the minutes of a job, such as time=120, or 2:00:00")
    days, hours, minutes, seconds = (int(part or 0) for part in parts.groups())
    if not parts[1] and not parts[4]:
        hours, minutes, seconds = 0, hours, minutes
    return max(1, days * 1440 + hours * 60 + minutes + (seconds > 0))


def on_slurm(chosen: Settings, folder: Path, at_once: int) -> Machine:
    """What a job would get: its memory as far as it is known before it starts, or why the cluster takes none."""
    name = f"SLURM ({' '.join(f'{key}={value}' for key, value in chosen.items())})"
    gpu = any("gpu" in key and str(value) != "0" for key, value in chosen.items()) or "gpu" in str(chosen.get("gres", ""))
    try:
        refused = SlurmJobs(folder, chosen).refused()
        free = None if gpu or refused else _memory(chosen)
    except ClusterError as error:
        refused, free = str(error), None
    return Machine(name, free, gpu, at_once, refused)


def _memory(chosen: Settings) -> int | None:
    """Bytes that a job asks for, else of the largest node that it can get."""
    if asked := megabytes(str(chosen.get("mem", ""))):
        return asked * 1024**2
    sizes = [int(line.rstrip("+")) for line in _partition(chosen, "%m") if line.rstrip("+").isdecimal()]
    return max(sizes) * 1024**2 if sizes else None


def _most_minutes(chosen: Settings) -> int | None:
    """What the partition lets a job take; ``None``: as long as it likes."""
    limits = [_minutes(line) for line in _partition(chosen, "%l") if line[:1].isdecimal()]
    return max(limits, default=None)


def _partition(chosen: Settings, what: str) -> list[str]:
    """What sinfo says of the partition that jobs go to: the one that is asked for, else the default one, which it marks with a star."""
    named = [f"--partition={chosen['partition']}"] if "partition" in chosen else []
    lines = [line.split() for line in _said("sinfo", "--noheader", f"--format=%P {what}", *named).splitlines()]
    pairs = [line for line in lines if len(line) == 2]
    chosen_ones = pairs if named else [line for line in pairs if line[0].endswith("*")] or pairs
    return [value for _, value in chosen_ones]


def _said(*command: str, given: str = "") -> str:
    """What a command of SLURM writes; raises :class:`ClusterError` with what it complains of."""
    try:
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClusterError(f"{command[0]} does not answer ({error}): is this a host that can submit to SLURM?") from None
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip() and not line.startswith("Try ")]
        raise ClusterError(f"{one_line(lines[-1] if lines else command[0] + ' has failed')}: change SLURM=, or ask who runs the cluster")
    return done.stdout


class SlurmJobs:
    """Jobs of this user on the SLURM that this host submits to."""

    mend = "ask for more memory or time with SLURM="

    def __init__(self, folder: Path, chosen: Settings) -> None:
        """``folder`` must be one that the nodes share. Raises :class:`ClusterError` without submitit or without SLURM."""
        try:
            submitit: Any = importlib.import_module("submitit")
        except ImportError:
            raise ClusterError("ENGINE=slurm needs submitit: python -m pip install 'mechlib[slurm]' (or make setup)") from None
        if missing := [name for name in ("sbatch", "srun", "squeue", "scontrol", "sinfo") if not shutil.which(name)]:
            raise ClusterError(f"ENGINE=slurm needs {missing[0]}, which is not here: use a host that submits to SLURM, or leave ENGINE out")
        self.folder = folder
        self._job: Any = submitit.SlurmJob
        self._executor: Any = submitit.SlurmExecutor(folder, max_num_timeout=0)
        # sbatch judges what submitit does not know by name.
        known: set[str] = set(self._executor._valid_parameters())
        own: dict[str, Any] = {name: value for name, value in chosen.items() if name in known}
        own |= {name: [own[name]] for name in ("setup", "teardown") if name in own}
        others = {name.replace("_", "-"): True if value == "true" else value for name, value in chosen.items() if name not in known}
        self._most = _most_minutes(chosen)
        self._time = int(own.pop("time", min(_MINUTES, self._most or _MINUTES)))
        self._executor.update_parameters(job_name="mechlib", time=self._time, additional_parameters=others, **own)

    def refused(self) -> str | None:
        """Why SLURM would take no such job, or never start it; ``None`` if it would."""
        if self._most and self._time > self._most:
            return f"SLURM: time={self._time} is more than the {self._most} minutes that jobs may take there: give at most these"
        try:
            _said("sbatch", "--test-only", given=self._executor._make_submission_file_text("true", ""))
        except ClusterError as error:
            return str(error)
        return None

    def submit(self, store: Store, wanted: Wanted) -> str:
        """Have :func:`work` done; returns the job's id."""
        try:
            return str(self._executor.submit(work, store, wanted).job_id)
        except Exception as error:  # submitit passes on what sbatch says in errors of several kinds
            lines = [line for line in str(error).splitlines() if line.strip()]
            raise ClusterError(f"SLURM takes no job: {lines[-1] if lines else type(error).__name__}") from None

    def alive(self) -> Mapping[str, str]:
        """The jobs that wait or run, with their state and what a waiting one waits for."""
        lines = _said("squeue", "--noheader", f"--user={getpass.getuser()}", "--format=%i|%T|%r").splitlines()
        jobs = (line.strip().split("|", 2) for line in lines if line.count("|") > 1)
        return {job: f"pending ({reason})" if state == "PENDING" else state.lower() for job, state, reason in jobs}

    def outcome(self, job: str) -> Outcome | str:
        """What a job has told, else how SLURM says that it ended."""
        submitted = self._job(folder=self.folder, job_id=job)
        if submitted.paths.result_pickle.exists():
            error = submitted.exception()
            if error is None:
                return submitted.result()
            said = str(error)
            # submitit writes this error itself, in a job that runs out of its time.
            if "UncompletedJobError" not in said:
                last = [line for line in said.partition("-" * 22 + "\n")[2].partition("\n" + "-" * 22)[0].splitlines() if line.strip()]
                return Outcome({}, f"{last[-1] if last else 'it failed'} (its log: {submitted.paths.stderr})")
            return "was ended by SLURM (TIMEOUT)"
        try:
            state = re.search(r"JobState=(\w+)", _said("scontrol", "show", "job", job))
        except ClusterError:  # forgotten some minutes after its end
            state = None
        return f"was ended by SLURM ({state[1]})" if state else "was ended"

    def leave(self, jobs: Sequence[str]) -> str:
        """They outlive the command."""
        return f"jobs {' '.join(jobs)} go on: the same command waits for them again, scancel ends them"
