"""Circuits: what is outside takes the corrupted run's outputs, and how much of the answer is left."""

import math
import random

import pytest
import torch
from brute_force import PROMPTS, answer_lead, full_pass, lead_with, outputs_of, streams

from mechlib.components import Component, heads_and_mlps
from mechlib.patching.faithfulness import CircuitRow, curve_areas, faithfulness, rankings, sizes
from mechlib.patching.pairs import make_pair
from mechlib.patching.scores import Scores


def shuffled(model, seed):
    return random.Random(seed).sample(heads_and_mlps(model.architecture), len(heads_and_mlps(model.architecture)))


def by_hand(model, kept, seed, batch_size):
    """Faithfulness of one circuit: clean runs with all other heads and MLPs as in the corrupted run."""
    outside = [component for component in heads_and_mlps(model.architecture) if component not in kept]
    circuit, ends = 0.0, [0.0, 0.0]
    for start in range(0, len(PROMPTS), batch_size):
        pair = make_pair(model, PROMPTS[start : start + batch_size], "tokens", seed)
        for row in range(len(pair.packed)):
            clean, corrupted = streams(pair, row)
            plain = [answer_lead(full_pass(model, stream), pair.options[row]).item() for stream in (clean, corrupted)]
            ends = [end + value for end, value in zip(ends, plain, strict=True)]
            circuit += lead_with(model, clean, outputs_of(model, corrupted, outside), pair.options[row])
    return (circuit - ends[1]) / (ends[0] - ends[1])


def test_a_circuit_equals_replacing_everything_else_by_hand(tiny):
    ranked = shuffled(tiny, 1)
    with torch.no_grad():
        expected = {size: by_hand(tiny, ranked[:size], seed=5, batch_size=3) for size in (1, 8)}
    rows = faithfulness(tiny, PROMPTS, [("any", True, ranked)], seed=5, batch_size=3)
    found = {row.size: row.faithfulness for row in rows}
    assert {size: found[size] for size in expected} == pytest.approx(expected, abs=1e-3, rel=1e-3)
    assert max(abs(value) for value in expected.values()) > 0.01


def test_all_components_do_what_the_model_does_and_none_what_the_corrupted_run_does(tiny):
    asked = [("one", True, shuffled(tiny, 1)), ("one", False, shuffled(tiny, 2)), ("other", True, shuffled(tiny, 3))]
    rows = faithfulness(tiny, PROMPTS, asked, seed=5)
    assert [(row.method, row.signed) for row in rows if row.size == 0] == [("one", True), ("one", False), ("other", True)]
    for row in rows:
        if row.size in (0, row.of):
            # The prompt's last token is the same in both runs: of its stream only outputs differ.
            assert row.faithfulness == pytest.approx(row.size / row.of, abs=1e-4)
    assert len({row.faithfulness for row in rows if row.size == 0}) == len({row.faithfulness for row in rows if row.size == row.of}) == 1


def test_the_order_within_a_circuit_is_nothing_to_it(tiny_gemma3):
    ranked = shuffled(tiny_gemma3, 1)
    rows = faithfulness(tiny_gemma3, PROMPTS, [("one", True, ranked), ("other", True, [*ranked[:4][::-1], *ranked[4:]])], seed=5)
    one, other = ({row.size: row.faithfulness for row in rows if row.method == name} for name in ("one", "other"))
    assert {size for size in one if one[size] == other[size]} == {0, 4, 8, 15}


def test_batches_change_nothing_but_the_draw(tiny_gemma3, monkeypatch):
    monkeypatch.setattr("mechlib.patching.pairs.ordinary_tokens", lambda _model: torch.tensor([11]))
    seen = []
    one, all_at_once = (
        faithfulness(tiny_gemma3, PROMPTS, [("any", True, shuffled(tiny_gemma3, 1))], seed=0, batch_size=size, progress=progress)
        for size, progress in ((3, lambda *done: seen.append(done)), (16, lambda *_done: None))
    )
    assert [row.faithfulness for row in one] == pytest.approx([row.faithfulness for row in all_at_once], abs=1e-3)
    assert seen == [(3, 4), (4, 4)]


@pytest.mark.parametrize(("count", "expected"), [(1, (0, 1)), (2, (0, 1, 2)), (15, (0, 1, 2, 4, 8, 15)), (16, (0, 1, 2, 4, 8, 16))])
def test_sizes_double_from_one_component_to_all(count, expected):
    assert sizes(count) == expected


def test_sizes_grow_from_none_to_all():
    for count in range(1, 300):
        found = sizes(count)
        assert (found[0], found[-1]) == (0, count)
        assert all(small < large <= max(1, 2 * small) for small, large in zip(found, found[1:], strict=False))


def test_rankings_are_by_score_and_by_its_size_and_ties_by_place():
    a, b, c, d = Component(0, "head", 0), Component(0, "head", 1), Component(0, "mlp"), Component(1, "mlp")
    elsewhere = Component(2, "mlp")
    scores = {
        "some": Scores("", {d: 0.5, c: -0.75, b: 0.25, a: 0.5, elsewhere: 9.0}, 1.0, 0.0),
        "ties": Scores("", {d: 0.5, c: -0.5, b: -0.5, a: 0.5, elsewhere: 9.0}, 1.0, 0.0),
    }
    expected = [("some", True, [a, d, b, c]), ("some", False, [c, a, d, b]), ("ties", True, [a, d, b, c]), ("ties", False, [a, b, c, d])]
    assert rankings(scores, [d, b, c, a]) == expected


def rows_of(signed, values):
    return [CircuitRow("any", signed, size, 4, value) for size, value in zip((0, 1, 2, 4), values, strict=True)]


def test_areas_under_two_curves_by_hand():
    rows = [*rows_of(True, (0.0, 0.5, 1.5, 1.0)), *rows_of(False, (-0.5, 0.5, 1.5, 1.0))]
    # Shares 0, 1/4, 1/2, 1. Signed: 1/4 * 1/4 + 1/4 * 1 + 1/2 * 5/4; distances 3/2, 1/2, 1/2, 0: 1/4 * 1 + 1/4 * 1/2 + 1/2 * 1/4.
    assert curve_areas(rows) == curve_areas(rows[::-1]) == pytest.approx((0.9375, 0.5))


def test_perfect_circuits_have_no_distance():
    perfect = [*rows_of(True, (1.0,) * 4), *rows_of(False, (1.0,) * 4)]
    assert all(map(math.isnan, curve_areas([])))
    assert curve_areas(perfect) == pytest.approx((1.0, 0.0))
    # Too much of the answer rewards, but is as far from what the model does as too little.
    double = [*rows_of(True, (2.0,) * 4), *rows_of(False, (2.0,) * 4)]
    assert curve_areas(double) == pytest.approx((2.0, 1.0))
