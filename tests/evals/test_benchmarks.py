"""Which benchmarks can show damage to a model at all."""

import pytest

from mechlib.evals.benchmarks import ROOM, SIGNAL, Signal


def test_benchmarks_at_chance_have_no_signal():
    usable = {signal.task: signal.usable for signal in SIGNAL["gemma-3-270m"]}
    assert {task for task, good in usable.items() if good} == {"arc_easy", "piqa", "hellaswag", "triviaqa"}
    assert {task for task, good in usable.items() if not good} == {"mmlu", "arc_challenge", "winogrande", "boolq"}
    assert all(signal.source for signals in SIGNAL.values() for signal in signals)


@pytest.mark.parametrize(("above", "good"), [(ROOM, True), (ROOM - 0.1, False), (-5.0, False)])
def test_signal_is_room_above_guessing(above, good):
    assert Signal("any", "Any", 25.0 + above, 25.0, 0, "made up").usable == good
