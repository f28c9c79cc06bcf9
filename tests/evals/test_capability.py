"""The harness gets a model of its own around our weights and its results become rows; facts besides an edit are other facts."""

import sys
from dataclasses import replace
from types import ModuleType

import pytest
import torch
from editing import bits, same
from tiny_models import tiny_model

from mechlib.components import Component
from mechlib.edit.delta import Delta
from mechlib.evals.answers import ask
from mechlib.evals.capability import ROOM, SIGNAL, Capability, CapabilityError, Signal, capability, general_facts
from mechlib.facts import FORMATS, Fact, FactError, athletes, demonstration_subjects, prompts, world_facts

# The form that lm_eval 0.4.13 returns (seen with a local task): metric and filter share a key.
RESULTS = {
    "results": {
        "piqa": {"name": "piqa", "alias": "piqa", "sample_len": 40, "acc,none": 0.65, "acc_stderr,none": 0.07, "acc_norm,none": 0.6,
                 "acc_norm_stderr,none": "N/A"},
        "triviaqa": {"alias": "triviaqa", "exact_match,remove_whitespace": 0.15, "exact_match_stderr,remove_whitespace": 0.02},
        "mmlu": {"alias": "mmlu", "acc,none": 1, "acc_stderr,none": 0.01},
    },
    "n-samples": {"piqa": {"original": 1838, "effective": 40}, "triviaqa": {"original": 17944, "effective": 30},
                  "mmlu_law": {"original": 100, "effective": 7}, "mmlu_art": {"original": 100, "effective": 5}},
    "group_subtasks": {"mmlu": ["mmlu_all"], "mmlu_all": ["mmlu_law", "mmlu_art"]},
}  # fmt: skip


@pytest.fixture
def harness(monkeypatch):
    """A stand-in for lm_eval that keeps what it is called with, and treats models and tokenizers as the real one does."""
    calls = {}

    class HFLM:
        def __init__(self, pretrained, tokenizer, **options):
            calls.update(network=pretrained, tokenizer=tokenizer, options=options)
            pretrained.tie_weights()
            tokenizer.pad_token, tokenizer.padding_side = "<unk>", "left"

    def simple_evaluate(model, **options):
        assert isinstance(model, HFLM)
        with torch.no_grad():
            calls.update(asked=options, logits=calls["network"](torch.tensor([[1, 5, 9]])).logits)
        return RESULTS

    package, evaluator, models, huggingface = (
        ModuleType(name) for name in ("lm_eval", "lm_eval.evaluator", "lm_eval.models", "lm_eval.models.huggingface")
    )
    evaluator.simple_evaluate, huggingface.HFLM = simple_evaluate, HFLM
    for module in (package, evaluator, models, huggingface):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return calls


def test_rows_are_the_harness_metrics_with_their_questions(harness, tiny_gemma3):
    assert capability(tiny_gemma3, ["piqa", "triviaqa", "mmlu"]) == [
        Capability("piqa", "acc", 0.65, 0.07, 40),
        Capability("piqa", "acc_norm", 0.6, None, 40),
        Capability("triviaqa", "exact_match,remove_whitespace", 0.15, 0.02, 30),
        Capability("mmlu", "acc", 1.0, 0.01, 12),
    ]


def test_the_harness_is_asked_what_was_wanted_and_trusts_no_code(harness, tiny_gemma3):
    task = {"task": "mine", "dataset_path": "json"}
    capability(tiny_gemma3, ["piqa", task], limit=7, shots=3, batch_size=2, seed=11)
    assert harness["asked"]["tasks"] == ["piqa", task]
    assert (harness["asked"]["limit"], harness["asked"]["num_fewshot"]) == (7, 3)
    assert {value for name, value in harness["asked"].items() if name.endswith("_seed")} == {11}
    assert harness["options"] == {"batch_size": 2, "trust_remote_code": False}


def test_the_harness_leaves_our_model_as_it_was(harness, tiny):
    before, tokenizer = bits(tiny), (tiny.tokenizer.pad_token, tiny.tokenizer.padding_side)
    capability(tiny, ["piqa"])
    assert harness["network"] is not tiny.network and harness["tokenizer"] is not tiny.tokenizer
    assert same(before, bits(tiny))
    assert (tiny.tokenizer.pad_token, tiny.tokenizer.padding_side) == tokenizer == ("<pad>", "right")
    assert dict(harness["network"].named_parameters())["model.layers.1.mlp.up_proj.weight"] is tiny.layers[1].mlp.up_proj.weight


def test_the_harness_sees_an_applied_edit(harness, tiny_gemma3):
    block = Component(1, "mlp").weights(tiny_gemma3.architecture)[2]
    capability(tiny_gemma3, ["piqa"])
    plain = harness["logits"]
    changed = Delta({block: torch.ones(block.shape)}).edited(tiny_gemma3)
    with torch.no_grad():
        expected = changed.network(torch.tensor([[1, 5, 9]])).logits
        capability(changed, ["piqa"])
    assert torch.equal(harness["logits"], expected) and not torch.allclose(plain, expected)


@pytest.mark.parametrize("missing", ["lm_eval", "lm_eval.evaluator", "lm_eval.models.huggingface"])
def test_without_the_harness_one_line_says_what_to_install(harness, monkeypatch, tiny_gemma3, missing):
    for name in [name for name in sys.modules if name.startswith(f"{missing}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(CapabilityError, match=r"^benchmarks need the evaluation harness \(.*\): pip install lm_eval$"):
        capability(tiny_gemma3, ["piqa"])


def test_benchmarks_at_chance_have_no_signal():
    usable = {signal.task: signal.usable for signal in SIGNAL["gemma-3-270m"]}
    assert {task for task, good in usable.items() if good} == {"arc_easy", "piqa", "hellaswag", "triviaqa"}
    assert {task for task, good in usable.items() if not good} == {"mmlu", "arc_challenge", "winogrande", "boolq"}
    assert all(signal.source for signals in SIGNAL.values() for signal in signals)


@pytest.mark.parametrize(("above", "good"), [(ROOM, True), (ROOM - 0.1, False), (-5.0, False)])
def test_signal_is_room_above_guessing(above, good):
    assert Signal("any", 25.0 + above, 25.0, 0, "made up").usable == good


SHOWN = demonstration_subjects()
WORLD = [fact for fact in world_facts() if fact.relation in ("capital", "continent", "maker") and fact.subject not in SHOWN][::15]
MODEL = tiny_model("gemma3", world=True)


def test_general_facts_are_about_something_else():
    edited = [fact for fact in WORLD if fact.relation == "capital"][:1]
    subject = next(fact.subject for fact in WORLD if fact.relation == "maker")
    shown = Fact(sorted(SHOWN)[0], "maker", "Toyota")
    rows = general_facts(MODEL, [*WORLD, shown], FORMATS["statement"], [*edited, replace(WORLD[0], subject=subject, relation="capital")])
    expected = [fact for fact in WORLD if fact.relation != "capital" and fact.subject != subject]
    assert [(row.relation, row.subject) for row in rows] == [(fact.relation, fact.subject) for fact in expected]
    assert {row.relation for row in rows} == {"continent", "maker"}
    assert rows == ask(MODEL, prompts(expected, FORMATS["statement"]), group="general facts")


def test_all_world_facts_are_general_where_sports_are_edited():
    rows = general_facts(MODEL, WORLD, FORMATS["statement"], athletes().facts[:3])
    assert [row.subject for row in rows] == [fact.subject for fact in WORLD]


def test_no_fact_besides_is_an_error():
    with pytest.raises(FactError, match="no fact is left that is about something else than sport"):
        general_facts(MODEL, athletes().facts[:3], FORMATS["statement"], athletes().facts[3:4])
