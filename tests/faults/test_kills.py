"""Whoever is killed, and whenever: nothing finished is lost, changed or computed again, and the same command goes on to the same tables."""

import random
import signal
import time

import pytest
from commands import Checkout, finished, gone, tables

KINDS = [
    (signal.SIGKILL, "parent"), (signal.SIGTERM, "parent"), (signal.SIGINT, "group"), (signal.SIGKILL, "worker"),
    (signal.SIGKILL, "kernel"), (signal.SIGHUP, "group"), (signal.SIGKILL, "group"), (signal.SIGTERM, "group"),
    (signal.SIGINT, "parent"), (signal.SIGTERM, "worker"),
]  # fmt: skip


def disturb(checkout, store, number, to, after):
    """Run the command, send it a signal after so many seconds, and look that what it leaves is as it must be; its exit code."""
    before = finished(store)
    running = checkout.start(store, 2 if to == "worker" else 1)
    time.sleep(after)
    sent = running.send(number, to)
    asked = time.monotonic()
    code = running.wait()
    assert time.monotonic() - asked < 60
    assert "Traceback" not in running.errors
    assert running.errors.count("\n") <= 1, running.errors
    expected = {0, 2} if to in ("worker", "kernel") else {0, 128 + number}
    assert code in (expected if sent else {0}), running.errors
    assert code != 2 or running.errors.startswith("mechlib: ")
    # One that was done, and only had to end, says no more.
    assert code not in (129, 130, 143) or running.lines[-1].startswith("stopped") or running.lines[-1] == str(checkout.root)
    assert gone(store)
    after = finished(store)
    assert {name: after.get(name) for name in before} == before
    return code


def goes_on(checkout, store, whole):
    before = finished(store)
    running = checkout.start(store)
    assert running.wait() == 0, running.errors
    after = finished(store)
    assert {name: after[name] for name in before} == before
    assert tables(store) == tables(whole)
    assert [path.name for path in (store / "runs").glob(".scratch*")] == []


def test_the_same_command_goes_on(checkout, undisturbed, tmp_path):
    checkout.forget_pages()
    for number, to, after in ((signal.SIGINT, "group", 3), (signal.SIGKILL, "worker", 1), (signal.SIGTERM, "parent", 4),
                              (signal.SIGKILL, "kernel", 1)):  # fmt: skip
        disturb(checkout, tmp_path, number, to, after)
    goes_on(checkout, tmp_path, undisturbed)


@pytest.mark.faults
def test_twenty_random_moments(tmp_path):
    """Signals of all kinds at moments that the seed draws, on runs, edits and pages; a study that is complete is begun anew."""
    checkout, generator = Checkout.at(tmp_path / "project", "01,05"), random.Random(7)
    started = time.monotonic()
    whole = tmp_path / "whole"
    assert checkout.start(whole).wait() == 0
    length, studies = time.monotonic() - started, 0
    kinds = KINDS * 2
    generator.shuffle(kinds)
    for number, to in kinds:
        checkout.forget_pages()
        store = tmp_path / f"study-{studies}"
        disturb(checkout, store, number, to, generator.uniform(0.3, 0.5 * length))
        if tables(store) == tables(whole):
            studies += 1
    for study in range(studies + 1):
        checkout.forget_pages()
        goes_on(checkout, tmp_path / f"study-{study}", whole)
