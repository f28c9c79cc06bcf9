"""Two commands on one store: each run is computed once, by whoever comes first, and both end well with the same tables."""

import signal
import threading
import time
from collections import Counter

import pytest
from commands import finished, gone, tables

from mechlib.runs import locks
from mechlib.runs.locks import free, locked


@pytest.mark.parametrize("jobs", [1, 2])
def test_each_run_is_computed_once_and_each_page_executed_once(checkout, undisturbed, tmp_path, jobs):
    checkout.forget_pages()
    both = [checkout.start(tmp_path, jobs) for _ in range(2)]
    assert [running.wait() for running in both] == [0, 0]
    complaints = [line for running in both for line in running.errors.splitlines()]
    assert [line for line in complaints if not line.endswith("another command computes it; waiting")] == []
    computed = Counter((tmp_path / "computed.txt").read_text().split())
    assert computed == dict.fromkeys(tables(undisturbed), 1)
    assert tables(tmp_path) == tables(undisturbed)
    assert [path.name for path in (tmp_path / "runs").glob(".*")] == []


def test_the_lock_of_a_killed_command_is_taken_over(checkout, undisturbed, tmp_path):
    first = checkout.start(tmp_path)
    while not list(tmp_path.glob("runs/.lock-*")):
        time.sleep(0.01)
    first.send(signal.SIGKILL)
    assert gone(tmp_path)
    second = checkout.start(tmp_path)
    assert second.wait() == 0 and "waiting" not in "".join(second.lines)
    assert tables(tmp_path) == tables(undisturbed) and len(finished(tmp_path)) > 1
    assert [path.name for path in (tmp_path / "runs").glob(".*")] == []


def test_who_comes_second_waits_and_says_so(tmp_path):
    path, said, held = tmp_path / "lock", [], []
    assert free(path)
    with locked(path):
        assert not free(path)
        other = threading.Thread(target=lambda: held.append(enter(path, said)))
        other.start()
        while not said:
            time.sleep(0.01)
        assert held == []
    other.join()
    assert (said, held, free(path)) == (["waiting"], [True], True)


def enter(path, said):
    with locked(path, lambda: said.append("waiting")):
        return True


def test_where_there_are_no_locks_nobody_is_kept_out(tmp_path, monkeypatch):
    def refuse(self, **_):
        raise NotImplementedError

    monkeypatch.setattr(locks.FileLock, "acquire", refuse)
    with locked(tmp_path / "lock", lambda: pytest.fail("it waits")), locked(tmp_path / "lock"):
        assert free(tmp_path / "lock")
