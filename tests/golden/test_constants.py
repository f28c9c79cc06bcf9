"""A changed constant shows in the golden rows of the cases that it reaches, and in no others."""

import inspect
from dataclasses import replace

import pytest

from mechlib.attacks import finetuning
from mechlib.edit import losses
from mechlib.patching import pairs
from tests.golden.bench import Bench
from tests.golden.cases import CASES
from tests.golden.kept import beyond, read
from tests.golden.write import outcome


def forgotten(patch):
    patch.setattr(losses, "FORGOTTEN", -3.0)


def noise(patch):
    patch.setattr(inspect.unwrap(pairs.make_pair), "__defaults__", (2.99,))


def alpha(patch):
    adapted = finetuning._adapted
    patch.setattr(finetuning, "_adapted", lambda model, how: adapted(model, replace(how, alpha=31)))


def dropout(patch):
    adapted = finetuning._adapted
    patch.setattr(finetuning, "_adapted", lambda model, how: adapted(model, replace(how, dropout=0.06)))


FINETUNED = {"sports_relearning_unedited_half_0", "sports_benign_unedited"}
OTHER_ATTACKS = {"sports_soft_prompt_unedited_half_0", "sports_quantization_unedited", "sports_in_context_unedited_half_0"}
# What is changed, the cases that it reaches, and some near them that it does not.
CHANGES = {
    "the probability of a forgotten fact": (
        forgotten,
        {"unlearning_edit", "unlearning_trial", "unlearning_mask", "unlearning_ask_edited", "world_unlearning_edit"},
        {"whole_edit", "whole_trial", "sports_mask", "unlearning_ask_unedited", "world_edit"},
    ),
    "the noise of causal tracing": (
        noise,
        {"sports_evidence_causal_tracing", "sports_evidence_causal_tracing_positions", "world_evidence_causal_tracing_redrawn",
         "sports_latent_unedited"},
        {"sports_evidence_activation_patching", "world_evidence_relevance_patching", "sports_evidence_probe", "world_evidence_paths"},
    ),
    "an adapter's alpha": (alpha, FINETUNED, OTHER_ATTACKS),
    "an adapter's dropout": (dropout, FINETUNED, OTHER_ATTACKS),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_constant_shows_where_it_reaches(name, tmp_path, monkeypatch):
    change, reached, spared = CHANGES[name]
    change(monkeypatch)
    bench = Bench(tmp_path)
    now = [outcome(bench, CASES[case]) for case in sorted(reached | spared)]
    assert {one.case for one in now if beyond(read(one.case), one)} == reached
