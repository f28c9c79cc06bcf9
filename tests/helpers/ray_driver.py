"""A command of its own that computes a study's runs on a Ray: ``python ray_driver.py <address> <store> <pickled study and runs>``."""

from __future__ import annotations

import pickle
import sys
from dataclasses import dataclass
from pathlib import Path

from mechlib.runs.cluster import Cluster
from mechlib.runs.ray import RayJobs, worker
from mechlib.runs.store import Store


@dataclass(frozen=True)
class CountingStore(Store):
    """Notes each run that is computed, on whatever worker, in a file beside the runs."""

    def finish(self, scratch, spec, result, seconds):
        with (self.root / "computed").open("a") as file:
            file.write(f"{spec.id}\n")
        super().finish(scratch, spec, result, seconds)

    def computed(self):
        return (self.root / "computed").read_text().split()


def driver(address, store, wanted, say, most=1):
    """The engine of one command; workers do not see the tests' helpers, so the store's class travels with it."""
    from ray import cloudpickle as rays

    rays.register_pickle_by_value(sys.modules[CountingStore.__module__])
    return Cluster(wanted, store, RayJobs(store.root / ".jobs" / "ray", worker(f"address={address}")), most, say, every=0.1)


if __name__ == "__main__":
    address, root, asked = sys.argv[1:]
    wanted = pickle.loads(Path(asked).read_bytes())
    with driver(address, CountingStore(Path(root)), wanted, lambda _line: None) as runs:
        runs.wait(wanted)
