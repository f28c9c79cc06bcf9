"""The work of estimating scores is the same few large operations however many heads there are."""

import pytest
from brute_force import PROMPTS
from tiny_models import tiny_model
from torch.utils._python_dispatch import TorchDispatchMode

from mechlib.patching.attribution import attribution_patching


class Counter(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, given=(), named=None):
        self.count += 1
        return function(*given, **(named or {}))


@pytest.mark.parametrize("slope", ["gradient", "relevance"])
def test_attribution_dispatches_no_more_operations_for_more_heads(slope):
    counts = []
    for heads in (4, 8):
        model = tiny_model("llama", num_attention_heads=heads)
        with Counter() as counter:
            attribution_patching(model, PROMPTS, corruption="tokens", direction="noise", seed=0, slope=slope)
        counts.append(counter.count)
    assert counts[0] == counts[1] > 100
