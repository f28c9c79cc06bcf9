"""Fine-tuning: against a plain loop of peft and Hugging Face, and what it must leave alone."""

import copy
import random
from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from torch.utils._python_dispatch import TorchDispatchMode

from mechlib.attacks import finetuning
from mechlib.attacks.finetuning import FineTuning, FineTuningError, _turns, finetune, training_batches
from mechlib.evals.answers import answer_prompts
from mechlib.facts import FORMATS, athletes, prompts, world_facts
from tests.helpers.tiny_models import tiny_model

PROMPTS = prompts(tuple(athletes())[:8], FORMATS["one_shot"])
RELEARN, RETAIN, TEXTS = PROMPTS[:4], PROMPTS[4:7], [[1, *range(5, 14)], [1, *range(30, 36)], [1, *range(50, 61)]]


def material(model, relearn=RELEARN, retain=RETAIN, seed=0, text_batch=2):
    return training_batches(model, [(relearn, 32), (retain, 2)], TEXTS, text_batch, seed)


def logits(network, text):
    with torch.no_grad():
        return network(torch.tensor([text])).logits[0]


def plain_loss(model, network, batch, sizes):
    """One text at a time, all logits, nothing shared."""
    total, row, tokens = 0.0, 0, [batch.packed.tokens.flatten()[path] for path in batch.packed.paths]
    for size in sizes:
        for _ in range(size):
            last = network(tokens[row][None]).logits[0, -1]
            total += torch.nn.functional.cross_entropy(last, batch.labels[row]) / size
            row += 1
    losses = [torch.nn.functional.cross_entropy(network(text[None]).logits[0, :-1], text[1:], reduction="none") for text in tokens[row:]]
    return total + torch.cat(losses).mean()


def plain_network(model, rank, seed):
    network = copy.deepcopy(model.network)
    if rank:
        torch.manual_seed(random.Random(seed).getrandbits(63))
        return get_peft_model(network, LoraConfig(r=rank, lora_alpha=32, lora_dropout=0.0, target_modules="all-linear"))
    network.get_submodule(f"{network.base_model_prefix}.{model.family.layers}").requires_grad_(True)
    return network


@pytest.mark.parametrize("rank", [3, 0])
def test_against_a_plain_loop_of_peft_and_hugging_face(tiny, rank):
    how = FineTuning(rank, 3e-3, 6, dropout=0.0)
    network = plain_network(tiny, rank, seed=5)
    optimizer = torch.optim.AdamW([w for w in network.parameters() if w.requires_grad], lr=3e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=6)
    steps = zip(finetune(tiny, material(tiny), how, range(7), 5), material(tiny), strict=False)
    for count, ((step, twin), batch) in enumerate(steps, start=1):
        loss = plain_loss(tiny, network, batch, [4, 2])
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        with torch.no_grad():
            after = plain_loss(tiny, network, batch, [4, 2])
            assert batch.loss(twin).item() == pytest.approx(after.item(), abs=1e-4)
        assert after < loss
        torch.testing.assert_close(logits(twin.network, TEXTS[0]), logits(network, TEXTS[0]), atol=1e-4, rtol=1e-4)
        assert step == count
    assert count == 6 and (logits(tiny.network, TEXTS[0]) - logits(network, TEXTS[0])).abs().max() > 0.1


@pytest.mark.parametrize("rank", [3, 0])
def test_the_model_and_the_global_generator_stay_as_they_are(tiny, rank):
    weights = {name: weight.detach().clone() for name, weight in tiny.network.state_dict().items()}
    before, state = answer_prompts(tiny, PROMPTS), torch.get_rng_state()
    for closed_after in (1, 3):
        running = finetune(tiny, material(tiny), FineTuning(rank, 1e-2, 3), (1, 2, 3), 0)
        attacked = [answer_prompts(twin, PROMPTS) for _, twin in islice(running, closed_after)]
        running.close()
        assert all(answers != before for answers in attacked)
        assert torch.equal(state, torch.get_rng_state())
        after = tiny.network.state_dict()
        assert after.keys() == weights.keys() and all(torch.equal(after[name], weight) for name, weight in weights.items())
        assert not tiny.network.training and not any(weight.requires_grad for weight in tiny.network.parameters())
        assert answer_prompts(tiny, PROMPTS) == before


@pytest.mark.parametrize("rank", [3, 0])
def test_without_a_learning_rate_the_model_answers_as_it_is_given(tiny, rank):
    *_, (_, twin) = finetune(tiny, material(tiny), FineTuning(rank, 0.0, 2), [2], 0)
    assert answer_prompts(twin, PROMPTS) == answer_prompts(tiny, PROMPTS)


def answers_after(model, seed=0, **settings):
    (_, twin), *rest = finetune(model, material(model), FineTuning(**{"rank": 2, "learning_rate": 1e-2, "steps": 3, **settings}), [3], seed)
    assert not rest and not twin.network.training
    return answer_prompts(twin, PROMPTS)


def test_a_seed_decides_and_the_global_generator_does_not(tiny_gemma3):
    torch.manual_seed(1)
    first = answers_after(tiny_gemma3)
    torch.manual_seed(2)
    assert answers_after(tiny_gemma3) == first
    assert answers_after(tiny_gemma3, seed=1) != first


def test_a_caller_without_gradients_gets_the_same(tiny_gemma3):
    with torch.no_grad():
        inside = answers_after(tiny_gemma3)
    assert inside == answers_after(tiny_gemma3)


def test_a_caller_may_draw_at_random_between_checkpoints(tiny_gemma3):
    torch.manual_seed(3)
    expected = [torch.rand(1).item() for _ in range(3)]
    torch.manual_seed(3)
    running = finetune(tiny_gemma3, material(tiny_gemma3), FineTuning(2, 1e-2, 3), [1, 2, 3], 0)
    drawn = [(torch.rand(1).item(), answer_prompts(twin, PROMPTS)) for _, twin in running]
    assert [number for number, _ in drawn] == expected
    assert drawn[-1][1] == answers_after(tiny_gemma3)


def test_dropout_and_alpha_count(tiny_gemma3):
    assert len({str(answers_after(tiny_gemma3, **other)) for other in ({}, {"dropout": 0.0}, {"alpha": 16})}) == 3


def test_the_order_of_prompts_that_fit_one_step_does_not_matter(tiny):
    how, shuffled = FineTuning(2, 1e-2, 3, dropout=0.0), [RELEARN[n] for n in (2, 0, 3, 1)]
    (_, one), (_, other) = (next(finetune(tiny, material(tiny, relearn), how, [3], 0)) for relearn in (RELEARN, shuffled))
    torch.testing.assert_close(logits(one.network, TEXTS[0]), logits(other.network, TEXTS[0]), atol=1e-4, rtol=1e-4)


def test_a_model_stored_in_bfloat16_trains_in_float32(tiny_gemma3):
    stored = tiny_model("gemma3")
    stored.network.to(torch.bfloat16)
    for rank in (2, 0):
        (_, twin), *_ = finetune(stored, material(stored), FineTuning(rank, 1e-2, 3), [3], 0)
        trained = [weight for weight in twin.network.parameters() if weight.requires_grad]
        assert trained and {weight.dtype for weight in trained} == {torch.float32}
        assert answer_prompts(twin, PROMPTS) != answer_prompts(stored, PROMPTS)
    assert {weight.dtype for weight in stored.network.parameters()} == {torch.bfloat16}


def test_answers_of_one_token_are_what_is_taught():
    model, asked = tiny_model("gemma3", world=True), prompts(tuple(world_facts())[:6], FORMATS["statement"])
    batch = next(training_batches(model, [(asked, 4)], [], 0, 0))
    assert len(batch.packed.paths) == 4 and len(batch.labels) == 4
    words = {model.tokenizer.convert_ids_to_tokens(int(token)) for token in batch.labels}
    assert words <= {prompt.answer.split()[0] for prompt in asked} and "<unk>" not in words


def test_what_is_not_asked_for_is_left_out(tiny_gemma3):
    only_texts = next(training_batches(tiny_gemma3, [(RELEARN, 0), ([], 4)], TEXTS, 1, 0))
    (path,) = only_texts.packed.paths
    text = only_texts.packed.tokens.flatten()[path][None]
    expected = tiny_gemma3.network(text, labels=text).loss
    assert only_texts.loss(tiny_gemma3).item() == pytest.approx(expected.item(), abs=1e-5)
    with pytest.raises(FineTuningError, match="nothing to fine-tune on"):
        next(training_batches(tiny_gemma3, [(RELEARN, 0)], TEXTS, 0, 0))


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 3))
def test_everything_comes_before_anything_comes_twice(count, size, seed):
    drawn = list(islice(_turns(range(count), size, seed), 12))
    assert {len(part) for part in drawn} == {min(size, count)}
    flat = [item for part in drawn for item in part]
    rounds = [flat[start : start + count] for start in range(0, len(flat) - count + 1, count)]
    assert all(sorted(one) == list(range(count)) for one in rounds)
    assert drawn == list(islice(_turns(range(count), size, seed), 12))


@pytest.mark.parametrize("wrong", [{"rank": -1}, {"steps": 0}, {"learning_rate": -1e-3}, {"learning_rate": float("nan")}, {"dropout": 1.0}])
def test_settings_that_make_no_sense(wrong):
    with pytest.raises(FineTuningError):
        FineTuning(**{"rank": 2, "learning_rate": 1e-3, "steps": 2, **wrong})


def test_a_checkpoint_too_late_and_a_loss_that_is_not_finite(tiny_gemma3):
    with pytest.raises(FineTuningError, match="after the last of 2 steps: 3"):
        next(finetune(tiny_gemma3, material(tiny_gemma3), FineTuning(2, 1e-3, 2), [3], 0))
    with pytest.raises(FineTuningError, match="lower the learning rate"):
        list(finetune(tiny_gemma3, material(tiny_gemma3), FineTuning(2, 1e30, 4), [4], 0))


def test_names_of_settings():
    assert str(FineTuning(8, 2e-4, 20)) == "LoRA 8, 0.0002" and str(FineTuning(0, 1e-5, 20)) == "full, 1e-05"


def test_adapters_are_made_where_the_model_is():
    """On a device that holds nothing, every tensor that is made must be of that device, or its making would cost the processor."""
    model = tiny_model("llama")
    model.network.to("meta")
    elsewhere: list[str] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, given=(), named=None):
            made = function(*given, **(named or {}))
            if isinstance(made, torch.Tensor) and made.device.type != "meta":
                elsewhere.append(str(function))
            return made

    with Watch():
        twin = finetuning._adapted(model, FineTuning(4, 1e-3, 1))
    drawn = [weight for name, weight in twin.network.named_parameters() if "lora_" in name]
    assert drawn and {weight.device.type for weight in drawn} == {"meta"}
    assert elsewhere == []
