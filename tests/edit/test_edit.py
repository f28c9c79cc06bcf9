"""An edit leaves the model alone, touches what is localized and nothing else, and is plain training."""

import copy
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest
import torch
from editing import FORGET, LOCALIZATIONS, RETAIN, bits, edited, inside, localization, same
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tiny_models import FAMILIES, tiny_model

from mechlib.checks import ParameterError
from mechlib.components import Localization, heads_and_mlps
from mechlib.edit.delta import EditError
from mechlib.edit.general_text import sample
from mechlib.edit.train import EditConfig, edit
from mechlib.evals.answers import answer_prompts
from mechlib.models.tokens import answer_token

pytestmark = pytest.mark.precision

WHERE = pytest.mark.parametrize("where", LOCALIZATIONS.values(), ids=LOCALIZATIONS)


def untouched_outside(model, delta, where):
    """Apply the delta and compare every weight with what it was, in and outside the localization."""
    before, masks = bits(model), inside(model, where)
    blocks = {block for part in localization(model, where).components for block in part.weights(model.architecture)}
    assert set(delta.blocks) == blocks
    changed = delta.edited(model)
    after = bits(changed)
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
    where = [str(heads_and_mlps(tiny_gemma3.architecture)[pick]) for pick in picks]
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


def as_known(model, prompts):
    """The same prompts, every other one with the answer that the model finds likeliest, so that there is something to unlearn."""
    with torch.no_grad():
        tops = [model.network(**model.tokenizer(prompt.text, return_tensors="pt")).logits[0, -1].argmax() for prompt in prompts]
    words = [model.tokenizer.decode([top]) if number % 2 else " golf" for number, top in enumerate(tops)]
    return [replace(prompt, answer=word, options=(word,), target=None) for prompt, word in zip(prompts, words, strict=True)]


def plain_training(model, where, forget, texts, config):
    """The same edit with Hugging Face's own forward pass, text by text: weights after the last step."""
    network, masks = copy.deepcopy(model.network), inside(model, where)
    weights = {name: weight for name, weight in replace(model, network=network).parameters.items() if masks[name].any()}
    originals = {name: weight.detach().clone() for name, weight in weights.items()}
    for weight in weights.values():
        weight.requires_grad_(True)
    optimizer = torch.optim.AdamW(weights.values(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=config.steps)
    curve = []

    def next_logits(prompt, network):
        return network(**model.tokenizer(prompt.text, return_tensors="pt")).logits[:, -1]

    def loss(prompt, answer):
        return torch.nn.functional.cross_entropy(next_logits(prompt, network), torch.tensor([answer_token(model, answer)]))

    def unlearned(prompt):
        log_probability = next_logits(prompt, network).log_softmax(-1)[0, answer_token(model, prompt.answer)]
        return torch.where(log_probability < -5, 0.0, -torch.log1p(-log_probability.exp()))

    def divergence(logits_of):
        now, before = (logits_of(either).log_softmax(-1) for either in (network, model.network))
        return (before.exp() * (before - now)).sum(-1).mean()

    for _ in range(config.steps):
        forgotten = torch.stack(
            [loss(prompt, prompt.target) if config.loss == "injection" else unlearned(prompt) for prompt in forget]
        ).mean()
        retained = torch.stack([loss(prompt, prompt.answer) for prompt in RETAIN]).mean()
        likely = network(input_ids=torch.tensor(texts), labels=torch.tensor(texts)).loss
        kl = torch.stack([divergence(lambda either: next_logits(prompt, either)) for prompt in RETAIN]).mean()
        kl = kl + divergence(lambda either: either(input_ids=torch.tensor(texts)).logits[:, :-1])
        optimizer.zero_grad()
        (
            config.forget_coefficient * forgotten + config.retain_coefficient * retained
            + config.text_coefficient * likely + config.kl_coefficient * kl
        ).backward()  # fmt: skip
        for name, weight in weights.items():
            weight.grad.mul_(masks[name])
        norm = torch.nn.utils.clip_grad_norm_(weights.values(), config.clip)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(torch.where(masks[name], weight, originals[name]))
        curve.append([value.item() for value in (forgotten, retained, likely, norm, kl)])
    return {name: weight.detach() - originals[name] for name, weight in weights.items()}, curve


@pytest.mark.parametrize(
    ("where", "loss", "kl_coefficient"), [("mlp", "injection", 0.0), ("mixed", "injection", 0.0), ("mixed", "unlearning", 1.5)]
)
def test_an_edit_is_plain_training(tiny, where, loss, kl_coefficient):
    where = LOCALIZATIONS[where]
    config = EditConfig(
        learning_rate=1e-3, forget_coefficient=2.0, retain_coefficient=0.7, text_coefficient=0.4, steps=4, retain_batch=99, text_batch=99,
        clip=0.5, weight_decay=20.0, precision="float32", loss=loss, kl_coefficient=kl_coefficient,
    )  # fmt: skip
    texts, forget = sample(tiny, 3, 8, seed=1), FORGET if loss == "injection" else as_known(tiny, FORGET)
    expected, curve = plain_training(tiny, where, forget, texts, config)
    delta, history = edit(tiny, localization(tiny, where), forget, RETAIN, texts, config)
    for step, wanted in zip(history, curve, strict=True):
        found = [step.forget, step.retain, step.text, step.gradient_norm, step.kl]
        assert step.forget > 0
        assert (step.kl is None) == (not kl_coefficient)
        assert found[: 5 if kl_coefficient else 4] == pytest.approx(wanted[: 5 if kl_coefficient else 4], rel=1e-3, abs=1e-4)
    for block, change in delta.blocks.items():
        wanted = expected[block.parameter][block.index]
        # Adam turns a gradient that is nearly zero into a step of either sign: compare whole blocks.
        assert (change.float() - wanted).norm() < 0.02 * wanted.norm()


def test_the_loss_falls_and_the_applied_delta_says_so(tiny):
    delta, history = edited(tiny, LOCALIZATIONS["mlp"], steps=30, forget_coefficient=5.0, precision="float32")
    assert history[-1].forget < 0.5 * history[0].forget
    assert [step.step for step in history] == list(range(30))

    def forget_loss(model):
        return -sum(answer.target_log_probability for answer in answer_prompts(model, FORGET)) / len(FORGET)

    assert forget_loss(tiny) == pytest.approx(history[0].forget, rel=1e-3)
    assert forget_loss(delta.edited(tiny)) == pytest.approx(history[-1].forget, rel=0.1, abs=0.05)


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


@pytest.mark.parametrize("more", [{}, {"loss": "unlearning", "kl_coefficient": 1.0, "checkpointing": True}])
def test_an_edit_that_diverges_is_an_error_and_leaves_the_model(tiny_gemma3, more):
    before = bits(tiny_gemma3)
    with pytest.raises(EditError, match=r"^the edit diverged: [^\n]*lower LEARNING_RATE$"):
        edited(tiny_gemma3, ("L1.mlp",), learning_rate=1e30, steps=4, **more)
    assert same(bits(tiny_gemma3), before)


def test_a_diverging_edit_stops_at_the_first_loss_that_is_no_number(tiny_gemma3):
    seen = []
    with pytest.raises(EditError, match="in step 1;"):
        edit(
            tiny_gemma3, localization(tiny_gemma3, ("L1.mlp",)), FORGET, RETAIN, sample(tiny_gemma3, 2, 8, seed=0),
            EditConfig(steps=9, learning_rate=1e30), lambda *done: seen.append(done),
        )  # fmt: skip
    assert seen == [(1, 9)]


def test_unlearning_lowers_what_the_model_knows_and_leaves_what_it_does_not(tiny_gemma3):
    forget, texts = as_known(tiny_gemma3, FORGET), sample(tiny_gemma3, 4, 8, seed=0)
    config = EditConfig(loss="unlearning", learning_rate=1e-2, steps=20, forget_coefficient=20.0, retain_batch=3, precision="float32")
    delta, history = edit(tiny_gemma3, localization(tiny_gemma3, ("L1.mlp",)), forget, RETAIN, texts, config)
    assert history[0].forget > 0
    assert history[-1].forget == 0  # Every true answer is below the threshold, from where on nothing pushes it.
    changed = delta.edited(tiny_gemma3)
    assert all(answer.log_probability < -5 for answer in answer_prompts(changed, forget))


def test_what_is_already_forgotten_has_no_gradient(tiny_gemma3):
    texts, unknown = sample(tiny_gemma3, 4, 8, seed=0), [replace(prompt, answer=" golf") for prompt in FORGET]
    assert all(answer.log_probability < -5 for answer in answer_prompts(tiny_gemma3, unknown))
    config = EditConfig(loss="unlearning", retain_coefficient=0.0, text_coefficient=0.0, steps=2)
    with pytest.raises(EditError, match="changed no weight"):
        edit(tiny_gemma3, localization(tiny_gemma3, ("L1.mlp",)), unknown, RETAIN, texts, config)


def test_what_cannot_be_edited(tiny_gemma3):
    texts, somewhere = sample(tiny_gemma3, 2, 8, seed=0), localization(tiny_gemma3, ("L1.mlp",))
    untargeted = [*FORGET, replace(FORGET[0], target=None)]
    with pytest.raises(EditError, match="no edit target"):
        edit(tiny_gemma3, somewhere, untargeted, RETAIN, texts, EditConfig())
    with pytest.raises(EditError, match="'nowhere' is empty"):
        edit(tiny_gemma3, Localization("nowhere", (), 0), FORGET, RETAIN, texts, EditConfig())
    for forget, retain, some in (([], RETAIN, texts), (FORGET, [], texts), (FORGET, RETAIN, [])):
        with pytest.raises(EditError, match="needs facts to forget, to retain and texts"):
            edit(tiny_gemma3, somewhere, forget, retain, some, EditConfig())


@pytest.mark.parametrize(("wrong", "message"), [
    ({"micro_batch": 0}, "micro_batch=0: give a whole number of at least 1"),
    ({"forget_batch": -1}, "forget_batch=-1"),
    ({"loss": "amnesia"}, "loss='amnesia' is unknown: choose injection, unlearning"),
    ({"optimizer": "sgd"}, "optimizer='sgd' is unknown: choose adamw, adamw8bit"),
])  # fmt: skip
def test_settings_that_mean_nothing_are_an_error(wrong, message):
    with pytest.raises(ParameterError, match=message):
        EditConfig.__post_init__(SimpleNamespace(**{**asdict(EditConfig()), **wrong}))


def test_progress_counts_steps(tiny_gemma3):
    seen = []
    edit(
        tiny_gemma3, localization(tiny_gemma3, ("L1.mlp",)), FORGET, RETAIN, sample(tiny_gemma3, 2, 8, seed=0), EditConfig(steps=3),
        lambda *done: seen.append(done),
    )  # fmt: skip
    assert seen == [(1, 3), (2, 3), (3, 3)]
