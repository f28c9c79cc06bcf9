"""How a run was computed: written beside its rows, never part of its identity."""

from __future__ import annotations

import hashlib
import platform
import socket
import subprocess
import time
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch

from mechlib.models.loading import default_device
from mechlib.models.precision import fast_precision
from mechlib.runs.places import checkout

PACKAGES = ("torch", "transformers", "tokenizers", "peft", "safetensors", "bitsandbytes", "scikit-learn", "scipy", "numpy", "mechlib")


def manifest(seconds: float) -> dict[str, Any]:
    """Code, libraries and machine. ``precision``: of a run that asks for none; ``dirty``: whether the code differed from the commit."""
    return {
        "seconds": round(seconds, 2),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **code(),
        "python": platform.python_version(),
        "packages": packages(),
        "machine": machine(),
        "precision": fast_precision(),
        "threads": torch.get_num_threads(),
    }


@cache
def code() -> dict[str, Any]:
    """Commit of the checkout, ``None`` outside of one, and whether the package's files differed from it."""
    folder = checkout()
    commit = _git(folder, "rev-parse", "HEAD") if folder else None
    return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain", "--", "mechlib")) if folder and commit else None}


def _git(folder: Path, *words: str) -> str | None:
    try:
        return subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


@cache
def packages() -> dict[str, str]:
    """Versions of the libraries that rows can depend on, as far as they are installed."""
    found: dict[str, str] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@cache
def machine() -> str:
    """Processor with its widest instructions, or the accelerator's name."""
    device = default_device()
    if device.type == "cpu":
        return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    try:
        return str(torch.get_device_module(device).get_device_name())
    except (AttributeError, RuntimeError):
        return device.type


@cache
def host() -> str:
    """Name of the machine since its start, and on Linux of the process namespace: where a process number means something."""
    parts = [socket.gethostname()]
    started_at, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if started_at.is_file() and namespace.is_symlink():
        parts += [started_at.read_text(encoding="ascii").strip(), str(namespace.readlink())]
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:12]


def started(pid: int | None = None) -> int | None:
    """When a process started, in seconds; ``None`` if there is none, or it is dead and nobody has asked how it ended."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else round(process.create_time())
    except psutil.NoSuchProcess:
        return None
