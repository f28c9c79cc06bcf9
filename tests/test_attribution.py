"""Attribution patching is the derivative of the metric along each component's change of output."""

import pytest
import torch
from conftest import tiny_model
from test_patching import PROMPTS, answer_lead, changing, full_pass, streams

from mechlib.components import nodes
from mechlib.facts import FORMATS, prompts
from mechlib.patching.activation import activation_patching
from mechlib.patching.attribution import attribution_patching
from mechlib.patching.pairs import make_pair

STEP = 1e-3


def finite_differences(model, pair, direction):
    """Scores from moving each component of each text a small step towards its output in the other run."""
    totals, ends = dict.fromkeys(nodes(model.architecture), 0.0), [0.0, 0.0]
    for row in range(len(pair.batch)):
        clean, corrupted = streams(pair, row)
        base, source = (corrupted, clean) if direction == "denoise" else (clean, corrupted)
        plain = [answer_lead(full_pass(model, stream), pair.options[row]).item() for stream in (clean, corrupted)]
        ends = [end + value for end, value in zip(ends, plain, strict=True)]
        for component in totals:
            kept = []
            with changing(model, component, lambda output: kept.append(output) or output):
                full_pass(model, source)
            leads = []
            for step in (STEP, -STEP):
                with changing(model, component, lambda output: output + step * (kept[0] - output)):
                    leads.append(answer_lead(full_pass(model, base), pair.options[row]).item())
            totals[component] += (leads[0] - leads[1]) / (2 * STEP)
    span = (ends[0] - ends[1]) * (1 if direction == "denoise" else -1)
    return {component: total / span for component, total in totals.items()}


@pytest.fixture
def double(request, monkeypatch):
    """A tiny model in float64 throughout: families compute norms and softmax in float32 otherwise."""
    model = tiny_model(request.param)
    model.network.double()
    to = torch.Tensor.to
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, *given, **named: to(tensor, *(_doubled(value) for value in given), **named))
    return model


def _doubled(value):
    return torch.float64 if value is torch.float32 else value


@pytest.mark.parametrize("direction", ["denoise", "noise"])
@pytest.mark.parametrize("double", ["gemma3", "llama", "gemma2", "gemma"], indirect=True)
def test_a_score_is_the_derivative_along_the_change(double, direction):
    with torch.no_grad():
        expected = finite_differences(double, make_pair(double, PROMPTS, "tokens", 5), direction)
    scores = attribution_patching(double, PROMPTS, corruption="tokens", direction=direction, seed=5)
    assert scores.values == pytest.approx(expected, rel=1e-3, abs=1e-5)
    assert max(map(abs, expected.values())) > 0.05
