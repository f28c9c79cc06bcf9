"""A plan counts what is missing, and what cannot fit is refused with what would help."""

from dataclasses import replace

import psutil
import pytest
import torch

from mechlib.edit.config import EditConfig
from mechlib.localize.registry import PAPER
from mechlib.runs.checks import ParameterError
from mechlib.runs.plan import Machine, Plan, check, machine, plan
from mechlib.runs.stages import STAGES
from mechlib.runs.study import Study
from test_memory import EDIT, finish, store  # noqa: F401


def test_missing_runs_are_counted_with_their_inputs(store):
    study = Study()
    made = plan([(study, [spec for _, spec in study.runs("edit")])], store)
    # Seven localizations are chosen once, the two random ones for each of the two forget sets.
    assert made.missing == {"know": 1, "text": 1, "probe": 1, "trace": 2, "localize": 11, "edit": 18}
    assert made.seconds["edit"] == pytest.approx(18 * STAGES["edit"].cost)
    text = str(made)
    assert text.startswith("34 runs to compute, about ")
    assert "estimate" in text
    assert "Most memory: edit: Nonlocalized, forget set 0, seed 0 of gemma-3-270m; its matrices have 100,270,080 weights" in text
    finish(store, study.know)
    again = plan([(study, [spec for _, spec in study.runs("edit")]), (study, [study.know])], store)
    assert again.missing == {stage: count for stage, count in made.missing.items() if stage != "know"}


def test_time_grows_with_steps(store):
    made = [plan([(study, [study.edit("nonlocalized", 0, 0)])], store) for study in (Study(steps=5), Study(steps=20))]
    assert [one.seconds["edit"] for one in made] == [STAGES["edit"].cost / 2, STAGES["edit"].cost * 2]
    assert made[0].seconds["know"] == made[1].seconds["know"]


def test_nothing_missing(store):
    finish(store, Study().know)
    made = plan([(Study(), [Study().know])], store)
    assert (made.missing, made.largest, str(made).splitlines()) == ({}, None, [str(made)])
    check(made)


def made(free, **settings):
    return Plan({"edit": 1}, {"edit": 20.0}, replace(EDIT, training=EditConfig(steps=10, **settings)), Machine("a machine", free))


def test_what_fits_is_not_complained_about():
    check(made(EDIT.total))


@pytest.mark.parametrize(
    ("free", "settings", "says"),
    [
        # MICRO_BATCH=1 keeps 30 tokens' activations instead of 410, 8-bit states save 27,504 bytes.
        (2_110_000, {}, "set MICRO_BATCH=1 or OPTIMIZER=adamw8bit, or train at most 3,075 weights instead of 4,608"),
        (2_110_000, {"optimizer": "adamw8bit", "precision": "float32"}, "set MICRO_BATCH=1 or PRECISION=bfloat16$"),
        (970_000, {}, "set MICRO_BATCH=1$"),
        (960_000, {}, "set MICRO_BATCH=1 OPTIMIZER=adamw8bit$"),
        # Nothing trained still needs weights, their copies in bfloat16 and the activations: 893,440 bytes.
        (930_000, {}, "free: set MICRO_BATCH=1 OPTIMIZER=adamw8bit and train at most 3,644 weights instead of 4,608$"),
        (890_000, {"optimizer": "adamw8bit", "micro_batch": 1}, "free: set PRECISION=float32 and train at most 1,060 weights"),
        (1_000, {}, "no setting helps, 0.89 MB are needed with nothing trained"),
    ],
)
def test_what_does_not_fit_is_one_line_that_helps(free, settings, says):
    with pytest.raises(ParameterError, match=says) as caught:
        check(made(free, **settings))
    assert "\n" not in str(caught.value)
    assert f"and a machine has {free / 1e6:.2f} MB free" in str(caught.value)
