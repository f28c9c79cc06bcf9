"""The time left is right soon, however wrong the declared costs of stages are."""

import itertools

import pytest

from mechlib.runs.progress import Progress


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def told(together=1):
    """At each end: the clock, what is said to be left, and what a study is like whose stages take .4 to 3 times what was declared."""
    clock, pace, said = Clock(), {"know": 3.0, "edit": 1.5, "ask": 0.4, "attack": 2.0}, []
    each = (("edit", 15.0), ("ask", 2.0), ("ask", 2.0), ("attack", 8.0))
    runs = [("know", 14.0)] + [run for _ in range(12) for run in each]
    progress = Progress(lambda _: None, runs, clock=clock)
    numbers = itertools.count()
    waiting, work = list(runs), []
    while waiting or work:
        while waiting and len(work) < together:
            stage, cost = waiting.pop(0)
            label = f"run {next(numbers)}"
            progress.begin(label)
            work.append((clock.now + cost * pace[stage], label, stage, cost))
        work.sort()
        clock.now, *ended = work.pop(0)
        progress.end(*ended)
        said.append((clock.now, progress.left()))
    return said


@pytest.mark.parametrize("together", [1, 2])
def test_time_left_is_within_a_half_once_each_stage_was_seen(together):
    said = told(together)
    whole = said[-1][0]
    # The first of each stage has ended after 80 seconds of 580.
    checked = [(at, left) for at, left in said if at * together >= 90 and whole - at > 30]
    assert len(checked) > 20
    for at, left in checked:
        assert (whole - at) / 1.5 < left < (whole - at) * 1.5


def test_nothing_is_said_before_a_run_has_ended_and_nothing_is_left_at_the_end():
    lines: list[str] = []
    clock = Clock()
    progress = Progress(lines.append, [("ask", 2.0), ("ask", 2.0)], clock=clock)
    progress.begin("first")
    assert progress.left() is None and lines == ["  run 1/2  first"]
    clock.now = 6.0
    progress.end("first", "ask", 2.0)
    progress.begin("second")
    # 2 declared seconds took 6: of all runs (6 + 30) / (2 + 30), of this stage (6 + 10 x 1.125) / (2 + 10), for 2 more.
    assert lines[1] == "  run 2/2  second   about 3 s left"
    clock.now = 27.0
    progress.inside(3, 4)
    assert lines[2].startswith("  run 2/2  second: 3/4")
    progress.end("second", "ask", 2.0)
    assert progress.left() == 0.0


def test_what_is_found_to_be_there_says_nothing_about_the_pace():
    clock = Clock()
    progress = Progress(lambda _: None, [("ask", 2.0)] * 3, clock=clock)
    progress.begin("first")
    clock.now = 4.0
    progress.end("first", "ask", 2.0)
    progress.end("another command's", "ask", 2.0)
    assert progress.left() == pytest.approx(2 * (4 + 10 * (4 + 30) / (2 + 30)) / (2 + 10))


def test_a_first_run_that_waits_for_a_model_to_load_does_not_say_that_all_takes_as_long():
    clock = Clock()
    progress = Progress(lambda _: None, [("localize", 0.1), *[("edit", 60.0)] * 10], clock=clock)
    progress.begin("first")
    clock.now = 17.0
    progress.end("first", "localize", 0.1)
    assert 600 < progress.left() < 1000
