"""How fast a machine multiplies and how fast it does everything else, measured in about a second and kept."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from mechlib.models.cache import cache_folder
from mechlib.models.precision import Precision

# Seconds that one measurement takes at most, after one call that warms up.
_LIMIT = 0.15
_ROWS, _WIDTHS = 512, (640, 2560)


@dataclass(frozen=True)
class Rates:
    """Of one core, or of an accelerator. ``float32`` and ``bfloat16``: operations a second of a large product of matrices.

    ``launch`` and ``number``: a norm over 512 rows takes ``launch`` seconds and ``number`` more for each number in a row.
    """

    name: str
    float32: float
    bfloat16: float
    launch: float
    number: float

    def product(self, precision: Precision) -> float:
        """Operations a second."""
        return self.float32 if precision == "float32" else self.bfloat16

    def small(self, width: int) -> float:
        """Seconds of an operation on a residual stream of that width."""
        return self.launch + self.number * width


def measured(device: torch.device, clock: Callable[[], float] = time.perf_counter) -> Rates:
    """The rates of a device, a processor's with one thread, in about a second."""
    size = 512 if device.type == "cpu" else 8192

    def seconds(work: Callable[[], torch.Tensor]) -> float:
        def once() -> float:
            start = clock()
            work().flatten()[0].item()  # waits until it is done
            return clock() - start

        once()
        taken, start = [once()], clock()
        while clock() - start < _LIMIT and len(taken) < 1000:
            taken.append(once())
        return min(taken)  # what else the machine does at the moment is not to be kept

    def product(dtype: torch.dtype) -> float:
        left, right = (torch.ones(size, size, dtype=dtype, device=device) for _ in range(2))
        return 2 * size**3 / seconds(lambda: left @ right)

    def norm(width: int) -> float:
        rows = torch.ones(_ROWS, width, device=device)

        def several() -> torch.Tensor:
            found = rows
            for _ in range(8):  # one after the other, so that waiting counts little
                found = found * torch.rsqrt(found.square().mean(-1, keepdim=True) + 1e-6)
            return found

        return seconds(several) / 8

    with _one_thread(), torch.no_grad():
        narrow, wide = map(norm, _WIDTHS)
        number = max(0.0, (wide - narrow) / (_WIDTHS[1] - _WIDTHS[0]))
        launch = max(1e-9, narrow - number * _WIDTHS[0])
        return Rates(_name(device), product(torch.float32), product(torch.bfloat16), launch, number)


def calibrated(device: torch.device, measure: Callable[[torch.device], Rates] = measured) -> Rates:
    """The rates of this machine, measured where its cache has none of this processor or accelerator under this version of torch."""
    name = _name(device)
    key = hashlib.sha256(f"{name} {torch.__version__}".encode()).hexdigest()[:16]
    path = cache_folder() / f"rates-{key}.json"
    try:
        kept = Rates(**json.loads(path.read_text(encoding="utf-8")))
        if kept.name == name and all(isinstance(each, float) and each >= 0 for each in list(asdict(kept).values())[1:]):
            return kept
    except (OSError, ValueError, TypeError):
        pass  # none, or a damaged one
    found = measure(device)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = path.with_suffix(f".{os.getpid()}")
        whole.write_text(json.dumps(asdict(found)), encoding="utf-8")
        whole.replace(path)
    except OSError:
        pass  # measured again the next time
    return found


def _name(device: torch.device) -> str:
    if device.type != "cpu":
        return torch.get_device_module(device).get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        found = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    except OSError:
        found = ""
    return f"{found or platform.processor() or platform.machine()} ({torch.backends.cpu.get_cpu_capability()})"


@contextmanager
def _one_thread() -> Generator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
