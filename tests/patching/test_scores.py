"""Scores by hand: of some prompts, and through JSON."""

import pytest

from mechlib.components import Component
from mechlib.patching.scores import Scores

HEAD, MLP = Component(0, "head", 1), Component(2, "mlp")
EFFECTS = {HEAD: (1.0, 2.0, 6.0), MLP: (0.5, -1.0, 4.0)}


def test_scores_of_some_prompts_are_their_effects_over_their_spans():
    scores = Scores("some", {HEAD: 0.0, MLP: 0.0}, 3.0, 1.0, EFFECTS, (4.0, 2.0, 10.0))
    assert scores.among([0, 2]) == pytest.approx({HEAD: 7 / 14, MLP: 4.5 / 14})
    assert scores.among([1, 1]) == pytest.approx({HEAD: 1.0, MLP: -0.5})


def test_every_part_survives_json_with_its_type():
    scores = Scores("some", {HEAD: 0.25, MLP: 1.0}, 3.0, 1.0, EFFECTS, (4.0, 2.0, 10.0), {HEAD: {"subject last": 0.5}})
    written = scores.to_json()
    assert written["values"] == {"L0.head1": 0.25, "L2.mlp": 1.0}
    assert (written["spans"], written["effects"]["L2.mlp"]) == ([4.0, 2.0, 10.0], [0.5, -1.0, 4.0])
    read = Scores.from_json(written)
    assert read == scores
    assert isinstance(read.effects[HEAD], tuple) and isinstance(read.positions[HEAD], dict)


def test_what_a_method_cannot_tell_is_empty():
    scores = Scores("some", {MLP: 1.0}, 3.0, 1.0)
    assert (scores.effects, scores.spans, scores.positions) == ({}, (), {})
    assert "noise" not in scores.to_json()


def test_the_scale_of_the_noise_is_kept_where_noise_corrupted():
    scores = Scores("some", {MLP: 1.0}, 3.0, 1.0, noise=3.25)
    assert scores.to_json()["noise"] == 3.25
    assert Scores.from_json(scores.to_json()) == scores
