"""An edit leaves the model alone, touches what is localized and nothing else, and is plain training."""

import copy
from dataclasses import replace

import pytest
import torch
from conftest import FAMILIES, tiny_model
from editing import FORGET, LOCALIZATIONS, RETAIN, bits, edited, inside, localization, same
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mechlib.components import Localization, nodes
from mechlib.edit.delta import EditError
from mechlib.edit.general_text import sample
from mechlib.edit.train import EditConfig, edit
from mechlib.evals.answers import ask
from mechlib.models.tokens import answer_token

WHERE = pytest.mark.parametrize("where", LOCALIZATIONS.values(), ids=LOCALIZATIONS)


def untouched_outside(model, delta, where):
    """Apply the delta and compare every weight with what it was, in and outside the localization."""
    before, masks = bits(model), inside(model, where)
    blocks = {block for part in localization(model, where).components for block in part.weights(model.architecture)}
    assert set(delta.blocks) == blocks
    with delta.applied(model):
        after = bits(model)
    assert all(bool((before[name] == after[name])[~mask].all()) for name, mask in masks.items())
    assert all(bool((before[block.parameter] != after[block.parameter])[block.index].any()) for block in blocks)
    assert same(bits(model), before)


@WHERE
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_edit_changes_its_localization_and_nothing_else(tiny, where, weight_decay, precision):
    before = bits(tiny)
    delta, history = edited(tiny, where, weight_decay=weight_decay, precision=precision)
    assert same(bits(tiny), before)
    assert len(history) == 2
    assert all(weight.grad is None and not weight.requires_grad for weight in tiny.parameters.values())
    untouched_outside(tiny, delta, where)


@settings(max_examples=12)
@given(st.sets(st.integers(0, 14), min_size=1, max_size=8), st.sampled_from([0.0, 0.3]), st.sampled_from(["float32", "bfloat16"]))
@example({0, 1, 2, 3}, 0.3, "float32")
def test_any_set_of_heads_and_mlps_can_be_edited(tiny_gemma3, picks, weight_decay, precision):
    where = [str(nodes(tiny_gemma3.architecture)[pick]) for pick in picks]
    delta, _ = edited(tiny_gemma3, where, weight_decay=weight_decay, precision=precision)
    assert delta.size == localization(tiny_gemma3, where).parameters
    untouched_outside(tiny_gemma3, delta, where)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_model_in_half_precision_can_be_edited(family, precision):
    model, where = tiny_model(family), LOCALIZATIONS["mixed"]
    model.network.bfloat16()
    before = bits(model)
    delta, _ = edited(model, where, precision=precision)
    assert same(bits(model), before)
    untouched_outside(model, delta, where)


def plain_training(model, where, texts, config):
    """The same edit with Hugging Face's own forward pass, text by text: weights after the last step."""
    network, masks = copy.deepcopy(model.network), inside(model, where)
    weights = {name: weight for name, weight in network.named_parameters() if masks[name].any()}
    originals = {name: weight.detach().clone() for name, weight in weights.items()}
    for weight in weights.values():
        weight.requires_grad_(True)
    optimizer = torch.optim.AdamW(weights.values(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=config.steps)
    curve = []

    def loss(prompt, answer):
        logits = network(**model.tokenizer(prompt.text, return_tensors="pt")).logits[:, -1]
        return torch.nn.functional.cross_entropy(logits, torch.tensor([answer_token(model, answer)]))

    for _ in range(config.steps):
        forgotten = torch.stack([loss(prompt, prompt.target) for prompt in FORGET]).mean()
        retained = torch.stack([loss(prompt, prompt.answer) for prompt in RETAIN]).mean()
        likely = network(input_ids=torch.tensor(texts), labels=torch.tensor(texts)).loss
        optimizer.zero_grad()
        (config.forget_coefficient * forgotten + config.retain_coefficient * retained + config.text_coefficient * likely).backward()
        for name, weight in weights.items():
            weight.grad.mul_(masks[name])
        norm = torch.nn.utils.clip_grad_norm_(weights.values(), config.clip)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(torch.where(masks[name], weight, originals[name]))
        curve.append([value.item() for value in (forgotten, retained, likely, norm)])
    return {name: weight.detach() - originals[name] for name, weight in weights.items()}, curve


@pytest.mark.parametrize("where", [LOCALIZATIONS["mlp"], LOCALIZATIONS["mixed"]], ids=["mlp", "mixed"])
def test_an_edit_is_plain_training(tiny, where):
    config = EditConfig(
        learning_rate=1e-3, forget_coefficient=2.0, retain_coefficient=0.7, text_coefficient=0.4, steps=4, retain_batch=99, text_batch=99,
        clip=0.5, weight_decay=20.0, precision="float32",
    )  # fmt: skip
    texts = sample(tiny, 3, 8, seed=1)
    expected, curve = plain_training(tiny, where, texts, config)
    delta, history = edit(tiny, localization(tiny, where), FORGET, RETAIN, texts, config)
    for step, wanted in zip(history, curve, strict=True):
        assert [step.forget, step.retain, step.text, step.gradient_norm] == pytest.approx(wanted, rel=1e-3, abs=1e-4)
    for block, change in delta.blocks.items():
        wanted = expected[block.parameter][block.index]
        # Adam turns a gradient that is nearly zero into a step of either sign: compare whole blocks.
        assert (change.float() - wanted).norm() < 0.02 * wanted.norm()


def test_the_loss_falls_and_the_applied_delta_says_so(tiny):
    delta, history = edited(tiny, LOCALIZATIONS["mlp"], steps=30, forget_coefficient=5.0, precision="float32")
    assert history[-1].forget < 0.5 * history[0].forget
    assert [step.step for step in history] == list(range(30))

    def forget_loss():
        return -sum(answer.target_log_probability for answer in ask(tiny, FORGET)) / len(FORGET)

    assert forget_loss() == pytest.approx(history[0].forget, rel=1e-3)
    with delta.applied(tiny):
        assert forget_loss() == pytest.approx(history[-1].forget, rel=0.1, abs=0.05)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_seed_decides(tiny_gemma3, precision):
    first, again, other = (edited(tiny_gemma3, ("L1.mlp",), seed=seed, precision=precision) for seed in (5, 5, 6))
    assert first[0] == again[0]
    assert first[1] == again[1]
    assert first[0] != other[0]
    assert first[0].provenance["config"]["seed"] == 5


def test_half_precision_is_close_to_full(tiny):
    half, full = (edited(tiny, ("L1.mlp",), precision=precision, steps=1)[1][0] for precision in ("bfloat16", "float32"))
    assert (half.forget, half.retain, half.text) == pytest.approx((full.forget, full.retain, full.text), rel=0.05)


@WHERE
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_an_edit_that_changes_nothing_is_an_error(tiny_gemma3, where, weight_decay):
    with pytest.raises(EditError, match="changed no weight"):
        edited(tiny_gemma3, where, learning_rate=0.0, weight_decay=weight_decay)


def test_an_edit_that_diverges_is_an_error_and_leaves_the_model(tiny_gemma3):
    before = bits(tiny_gemma3)
    with pytest.raises(EditError, match="diverged.*lower LEARNING_RATE"):
        edited(tiny_gemma3, ("L1.mlp",), learning_rate=1e30, steps=4)
    assert same(bits(tiny_gemma3), before)


def test_what_cannot_be_edited(tiny_gemma3):
    texts, somewhere = sample(tiny_gemma3, 2, 8, seed=0), localization(tiny_gemma3, ("L1.mlp",))
    untargeted = [*FORGET, replace(FORGET[0], target=None)]
    with pytest.raises(EditError, match="no edit target"):
        edit(tiny_gemma3, somewhere, untargeted, RETAIN, texts, EditConfig())
    with pytest.raises(EditError, match="'nowhere' is empty"):
        edit(tiny_gemma3, Localization("nowhere", (), 0), FORGET, RETAIN, texts, EditConfig())


def test_progress_counts_steps(tiny_gemma3):
    seen = []
    edit(
        tiny_gemma3, localization(tiny_gemma3, ("L1.mlp",)), FORGET, RETAIN, sample(tiny_gemma3, 2, 8, seed=0), EditConfig(steps=3),
        lambda *done: seen.append(done),
    )  # fmt: skip
    assert seen == [(1, 3), (2, 3), (3, 3)]
