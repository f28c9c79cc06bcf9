"""A step of an edit asks a device for one answer, and micro-batches add their own passes and almost nothing else."""

import pytest
from counting import Operations
from editing import edited
from tiny_models import tiny_model

from mechlib.edit.batches import Batch


def step(**settings):
    """What one step asks: that of five without that of four, which begin alike."""
    counts, waits = [], []
    for steps in (4, 5):
        with Operations() as asked:
            edited(tiny_model("llama"), ("L1.mlp", "L2.head1"), steps=steps, retain_batch=4, schedule="constant", **settings)
        counts.append(asked.count)
        waits.append(asked.waits)
    return counts[1] - counts[0], waits[1] - waits[0]


@pytest.mark.parametrize("settings", [{}, {"micro_batch": 4}, {"micro_batch": 1}, {"kl_coefficient": 0.5}, {"checkpointing": True},
                                      {"loss": "unlearning"}, {"precision": "bfloat16"}], ids=str)  # fmt: skip
def test_a_device_is_waited_for_once_a_step(settings):
    assert step(**settings)[1] == 1


def test_micro_batches_add_their_passes_and_almost_nothing_else(monkeypatch):
    own, passes = Batch.losses, list[int]()

    def counted(batch, *given):
        with Operations() as asked:
            found = own(batch, *given)
        passes.append(asked.count)
        return found

    monkeypatch.setattr(Batch, "losses", counted)
    # Of 4 + 4 prompts and 2 texts: so many batches a step.
    counts = {parts: step(micro_batch=size)[0] for size, parts in ((4, 3), (2, 5), (1, 10))}
    each = (counts[10] - counts[5]) / 5
    assert each == pytest.approx((counts[5] - counts[3]) / 2, rel=0.05)
    # Forwards, backwards, and a few sums.
    assert max(passes) < each < 2.5 * max(passes)
