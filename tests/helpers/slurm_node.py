"""A SLURM of one node on this computer, all of it in a folder: the programs must be there (Debian: slurm-wlm and munge)."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "sinfo", "scancel")
CONF = """ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
KillWait=1
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,batch_sched_delay=0
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=2000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=600 State=UP
"""


class NoSlurm(Exception):
    """Why there is none here."""


def _free_ports(count):
    with_ports = [socket.socket() for _ in range(count)]
    for one in with_ports:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in with_ports]
    for one in with_ports:
        one.close()
    return ports


@contextmanager
def one_node(folder):
    """Start its daemons, and end them; within, ``SLURM_CONF`` names it. Raises :class:`NoSlurm` where that cannot be."""
    paths = os.pathsep.join((os.environ["PATH"], "/usr/sbin", "/sbin"))
    programs = {name: shutil.which(name, path=paths) for name in PROGRAMS}
    if missing := [name for name, path in programs.items() if path is None]:
        raise NoSlurm(f"{', '.join(missing)} not installed (Debian: slurm-wlm, munge)")
    host = socket.gethostname().partition(".")[0]
    for name in ("state", "spool"):
        (folder / name).mkdir()
    folder.chmod(0o755)
    (folder / "key").write_bytes(os.urandom(128))
    (folder / "key").chmod(0o600)
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(host=host, user=getpass.getuser(), folder=folder, ports=_free_ports(2)))
    munge = [f"--{option}={folder}/{name}" for option, name in (
        ("key-file", "key"), ("socket", "munge.socket"), ("pid-file", "munged.pid"), ("log-file", "munged.log"), ("seed-file", "seed"),
    )]  # fmt: skip
    before, daemons = os.environ.get("SLURM_CONF"), []
    os.environ["SLURM_CONF"] = str(conf)
    try:
        for command in (
            [programs["munged"], "--foreground", "--force", *munge],
            [programs["slurmctld"], "-D", "-i", "-f", str(conf)],
            [programs["slurmd"], "-D", "-N", host, "-f", str(conf)],
        ):
            log = (folder / f"{Path(command[0]).name}.out").open("wb")
            daemons.append(subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True))
            time.sleep(1)
        _wait_for_idle(programs["sinfo"], folder, daemons)
        yield conf
    finally:
        subprocess.run([programs["scancel"], f"--user={getpass.getuser()}"], check=False, timeout=30)
        for daemon in reversed(daemons):
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
        os.environ.pop("SLURM_CONF") if before is None else os.environ.update(SLURM_CONF=before)


def _wait_for_idle(sinfo, folder, daemons):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        said = subprocess.run([sinfo, "--noheader", "--format=%T"], capture_output=True, text=True, timeout=60)
        if said.stdout.strip() == "idle":
            return
        if any(daemon.poll() is not None for daemon in daemons):
            break
        time.sleep(0.5)
    logs = " / ".join(path.read_text(errors="replace").strip()[-300:] for path in sorted(folder.glob("*.out")) if path.stat().st_size)
    raise NoSlurm(f"its daemons do not start here: {logs or said.stdout or said.stderr}")
