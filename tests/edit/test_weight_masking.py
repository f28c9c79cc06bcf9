"""A mask is trained by its true gradient; the smallest masks zero their weights, exactly, and no others."""

from dataclasses import replace

import pytest
import torch
from editing import FORGET, LOCALIZATIONS, RETAIN, bits, inside, localization, same
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import tiny_model

from mechlib.checks import ParameterError
from mechlib.components import Localization
from mechlib.edit.delta import Delta, EditError
from mechlib.edit.general_text import sample
from mechlib.edit.losses import cross_entropy, next_tokens
from mechlib.edit.weight_masking import Mask, MaskConfig, discretized, train_mask
from mechlib.evals.answers import answer_prompts
from mechlib.models.forward import answer_logits, tokenize
from mechlib.models.packed import pack

pytestmark = pytest.mark.precision

WHERE = pytest.mark.parametrize("where", LOCALIZATIONS.values(), ids=LOCALIZATIONS)
GEMMA, HALF = tiny_model("gemma3"), tiny_model("llama")
HALF.network.bfloat16()


def masked(model, where, forget=FORGET, progress=lambda *_done: None, **changes):
    """A short training: mask and learning curve."""
    config = MaskConfig(**{"learning_rate": 0.01, "steps": 4, "retain_batch": 3, **changes})
    return train_mask(model, localization(model, where), forget, RETAIN, sample(model, 4, 8, seed=0), config, progress)


def blocks(model, where):
    return tuple(block for part in localization(model, where).components for block in part.weights(model.architecture))


def hand_made(model, where, values):
    """A mask whose first values are given; the others are 1."""
    parts = blocks(model, where)
    return Mask(parts, torch.cat([torch.tensor(values), torch.ones(sum(part.size for part in parts) - len(values))]))


def coarse(model, where, seed):
    """A random mask with many ties, most of all at 0 and 1."""
    parts = blocks(model, where)
    drawn = torch.rand(sum(part.size for part in parts), generator=torch.Generator().manual_seed(seed))
    return Mask(parts, (drawn * 1.4 - 0.2).clamp(0, 1).mul(8).round() / 8)


def zeroed(delta):
    """Places of the zeroed weights among all localized ones."""
    return set(torch.cat([change.flatten() for change in delta.blocks.values()]).nonzero()[:, 0].tolist())


def forget_loss(model):
    answers = answer_prompts(model, FORGET)
    return -sum(answer.target_log_probability for answer in answers) / len(answers)


def test_the_smallest_masks_are_zeroed_by_hand():
    weight = GEMMA.parameters["model.layers.1.self_attn.q_proj.weight"][16:24].flatten()
    mask = hand_made(GEMMA, ("L1.head2",), [0.5, 1.0, 0.0, 0.7, 0.25, 0.0, 0.9999])
    bigger, smaller = (2, 5) if abs(weight[2]) > abs(weight[5]) else (5, 2)
    order = [bigger, smaller, 4, 0, 3, 6]
    assert mask.masked == 6
    for size in (1, 2, 3, 4, 5, 6, 100):
        delta = discretized(GEMMA, mask, size)
        assert zeroed(delta) == set(order[:size])
        assert (delta.provenance["size"], delta.provenance["zeroed"]) == (size, min(size, 6))
        changed = delta.edited(GEMMA)
        now = changed.parameters["model.layers.1.self_attn.q_proj.weight"][16:24].flatten()
        assert not now[order[:size]].any()


def test_equal_masks_of_equal_weights_go_by_place():
    model = tiny_model("gemma3")
    model.parameters["model.layers.1.self_attn.k_proj.weight"].fill_(-0.5)
    mask = hand_made(model, ("L1.kv1",), [1.0, 0.5, 0.5, 0.5, 0.0])
    assert [zeroed(discretized(model, mask, size)) for size in (1, 2, 3, 4)] == [{4}, {4, 1}, {4, 1, 2}, {4, 1, 2, 3}]


@settings(max_examples=12)
@given(st.sampled_from(sorted(LOCALIZATIONS)), st.integers(0, 99), st.lists(st.integers(1, 5000), min_size=2, max_size=3))
def test_a_larger_edit_contains_a_smaller_one(name, seed, sizes):
    mask = coarse(GEMMA, LOCALIZATIONS[name], seed)
    sets = [zeroed(discretized(GEMMA, mask, size)) for size in sorted(sizes)]
    assert all(smaller <= larger for smaller, larger in zip(sets, sets[1:], strict=False))
    assert [len(found) for found in sets] == [min(size, mask.masked) for size in sorted(sizes)]
    kept = mask.values[[place for place in range(len(mask.values)) if place not in sets[0]]]
    assert mask.values[list(sets[0])].max() <= kept.min()


@pytest.mark.parametrize("half", [False, True], ids=["float32", "bfloat16"])
@WHERE
def test_zeroed_weights_are_zero_and_all_others_keep_their_bits(where, half):
    model = tiny_model("llama")
    if half:
        model.network.bfloat16()
    model.parameters[blocks(model, where)[0].parameter][::2, ::3] = -0.0
    before, mask = bits(model), coarse(model, where, 3)
    delta = discretized(model, mask, mask.masked // 2)
    changed = delta.edited(model)
    after, now = bits(changed), {name: weight.detach().clone() for name, weight in changed.parameters.items()}
    assert same(bits(model), before)
    chosen = {name: torch.zeros_like(weight, dtype=torch.bool) for name, weight in model.parameters.items()}
    for block, change in delta.blocks.items():
        chosen[block.parameter][block.index] = (change != 0) | ~change.signbit()
    assert 0 < sum(int(places.sum()) for places in chosen.values()) <= mask.masked // 2
    for name, places in chosen.items():
        assert not now[name][places].any()
        assert torch.equal(after[name][~places], before[name][~places])
        assert not (places & ~inside(model, where)[name]).any()


def test_what_is_no_mask_or_no_edit():
    some, nothing = coarse(GEMMA, ("L2.mlp",), 0), hand_made(GEMMA, ("L1.mlp",), [])
    for size in (0, -1):
        with pytest.raises(EditError, match="is no edit"):
            discretized(GEMMA, some, size)
    with pytest.raises(EditError, match="changed no weight"):
        discretized(GEMMA, nothing, 5)
    for sizes in ({"intermediate_size": 40}, {"num_hidden_layers": 2}):
        with pytest.raises(EditError, match="made for another model"):
            discretized(tiny_model("gemma3", **sizes), some, 5)
    for values in (nothing.values * 1.5, nothing.values - 1.1, nothing.values * float("nan"), nothing.values[1:]):
        with pytest.raises(EditError, match="between 0 and 1"):
            Mask(nothing.blocks, values)


@WHERE
def test_training_masks_what_is_localized_and_leaves_the_model(tiny, where):
    before = bits(tiny)
    for precision in ("float32", "bfloat16"):
        mask, history = masked(tiny, where, precision=precision, steps=2)
        assert same(bits(tiny), before)
        assert mask.blocks == blocks(tiny, where)
        assert len(history) == 2
        assert history[0].masked == 0
        assert 0 < mask.masked < len(mask.values)
    assert all(weight.grad is None and not weight.requires_grad for weight in tiny.parameters.values())


@WHERE
def test_each_step_has_the_loss_of_the_model_that_is_masked_so_far(where):
    settings = {"precision": "float32", "learning_rate": 0.3}
    mask, _ = masked(GEMMA, where, steps=1, **settings)
    _, (first, second) = masked(GEMMA, where, steps=2, **settings)
    assert first.forget == pytest.approx(forget_loss(GEMMA), rel=1e-4)
    assert (first.masked, second.masked) == (0, mask.masked)
    assert abs(second.forget - first.forget) > 0.01
    changes = {}
    for block, values in zip(mask.blocks, mask.values.split([block.size for block in mask.blocks]), strict=True):
        original = GEMMA.parameters[block.parameter][block.index]
        changes[block] = original * values.view_as(original) - original
    changed = Delta(changes).edited(GEMMA)
    assert forget_loss(changed) == pytest.approx(second.forget, abs=1e-4)


def loss_after(model, block, place, by, texts, config):
    """The loss that is trained, asked one by one, once a weight has grown by a share of itself."""
    original = model.parameters[block.parameter][block.index]
    change = torch.zeros_like(original)
    change.view(-1)[place] = by * original.flatten()[place]
    changed = Delta({block: change}).edited(model)
    with torch.no_grad():
        retained = -sum(answer.log_probability for answer in answer_prompts(changed, RETAIN)) / len(RETAIN)
        likely = cross_entropy(changed, *next_tokens(changed, pack(changed, texts))).mean().item()
        return config.forget_coefficient * forget_loss(changed) + config.retain_coefficient * retained + config.text_coefficient * likely


@pytest.mark.parametrize("where", [LOCALIZATIONS["mlp"], LOCALIZATIONS["mixed"]], ids=["mlp", "mixed"])
def test_the_gradient_of_a_mask_is_the_finite_difference(tiny, where):
    config = MaskConfig(
        learning_rate=1e-4, penalty=0.0, forget_coefficient=2.0, retain_coefficient=0.7, text_coefficient=0.4, steps=1, retain_batch=99,
        text_batch=99, precision="float32",
    )  # fmt: skip
    texts = sample(tiny, 3, 8, seed=1)
    mask, (step,) = train_mask(tiny, localization(tiny, where), FORGET, RETAIN, texts, config)
    # One step down the gradient, in units of its root mean square; masks whose gradient is negative stay at 1.
    gradient = (1 - mask.values.double()) / config.learning_rate * step.gradient_norm / len(mask.values) ** 0.5
    for block, part in zip(mask.blocks, gradient.split([block.size for block in mask.blocks]), strict=True):
        steepest = int(part.argmax())
        above, below = (loss_after(tiny, block, steepest, by, texts, config) for by in (0.05, -0.05))
        assert (above - below) / 0.1 == pytest.approx(part[steepest].item(), rel=0.05, abs=1e-3)


@pytest.mark.parametrize("loss", ["injection", "unlearning"])
def test_the_forget_loss_falls_and_zeroing_few_weights_lowers_it(loss):
    training = {"steps": 30, "retain_batch": 16, "learning_rate": 3e-3, "forget_coefficient": 5.0, "precision": "float32", "loss": loss}
    # What a random model knows is what it says first.
    likely = answer_logits(GEMMA, tokenize(GEMMA, [prompt.text for prompt in FORGET])).argmax(-1)
    forget = [replace(prompt, answer=GEMMA.tokenizer.decode(token)) for prompt, token in zip(FORGET, likely.tolist(), strict=True)]
    mask, history = masked(GEMMA, LOCALIZATIONS["mlp"], forget, **training)
    assert history[-1].forget < 0.8 * history[0].forget
    left = []
    for chosen in (mask, coarse(GEMMA, LOCALIZATIONS["mlp"], 0)):
        changed = discretized(GEMMA, chosen, len(mask.values) // 50).edited(GEMMA)
        left.append(masked(changed, LOCALIZATIONS["mlp"], forget, **{**training, "steps": 1})[1][0].forget)
    assert left[0] < min(0.85 * history[0].forget, left[1])


def test_the_penalty_pushes_back_what_the_task_does_not_need():
    found = [masked(GEMMA, ("L1.mlp",), penalty=penalty, steps=12, precision="float32")[0] for penalty in (0.0, 0.3, 1.0)]
    assert found[0].masked > 2 * found[1].masked > 2 * found[2].masked
    assert found[2].values.mean() > found[0].values.mean()


def test_the_seed_decides_and_progress_counts_steps():
    seen = []
    first, again, other = (masked(GEMMA, ("L1.mlp",), progress=lambda *done: seen.append(done), seed=seed) for seed in (5, 5, 6))
    assert seen == [(step, 4) for step in (1, 2, 3, 4)] * 3
    assert torch.equal(first[0].values, again[0].values)
    assert first[1] == again[1]
    assert not torch.equal(first[0].values, other[0].values)
    assert first[0].provenance["config"]["seed"] == 5


def test_what_cannot_be_masked():
    untargeted = [*FORGET, replace(FORGET[0], target=None)]
    for message, forget, changes in (
        ("no edit target", untargeted, {}),
        ("there are 0, 6 and 4", [], {}),
        ("learning_rate=0.0: give a number above 0", FORGET, {"learning_rate": 0.0}),
        ("penalty", FORGET, {"penalty": -0.1}),
        ("norm of its gradient is 0.0", FORGET, dict.fromkeys(("forget_coefficient", "retain_coefficient", "text_coefficient"), 0.0)),
    ):
        with pytest.raises((EditError, ParameterError), match=message):
            masked(GEMMA, ("L1.mlp",), forget, **changes)
    with pytest.raises(EditError, match="'nowhere' is empty"):
        train_mask(GEMMA, Localization("nowhere", (), 0), FORGET, RETAIN, sample(GEMMA, 2, 8, seed=0), MaskConfig())
    assert masked(GEMMA, ("L1.mlp",), untargeted, loss="unlearning")[0].masked


@WHERE
def test_a_mask_survives_its_file_and_takes_the_room_of_what_it_masks(tmp_path, where):
    path, mask = tmp_path / "mask.safetensors", replace(coarse(GEMMA, where, 1), provenance={"config": {"seed": 1}})
    mask.save(path)
    read = Mask.load(path)
    assert read.blocks == mask.blocks
    assert torch.equal(read.values, mask.values)
    assert read.provenance == mask.provenance
    assert path.stat().st_size <= 8 * mask.masked + 300 * (len(mask.blocks) + 1)
    hand_made(GEMMA, where, []).save(path)
    assert Mask.load(path).masked == 0


def test_a_discretized_mask_survives_its_file_in_full_precision(tmp_path):
    path, delta = tmp_path / "delta.safetensors", discretized(HALF, coarse(HALF, LOCALIZATIONS["mixed"], 2), 500)
    delta.save(path)
    assert (read := Delta.load(path)) == delta
    assert all(change.dtype == torch.float32 for change in read.blocks.values())
    assert all(torch.equal(change.signbit(), delta.blocks[block].signbit()) for block, change in read.blocks.items())


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_file_that_is_no_mask(tmp_path, share):
    path, mask = tmp_path / "mask.safetensors", coarse(GEMMA, ("L1.mlp",), 0)
    mask.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(EditError, match="no mask or is damaged"):
        Mask.load(path)
    discretized(GEMMA, mask, 5).save(path)
    with pytest.raises(EditError, match="no mask or is damaged"):
        Mask.load(path)


def test_a_mask_is_trained_with_the_batches_of_an_edit_of_its_settings():
    """Losses count alike unless others are given, and what is given reaches the batches."""
    usual = MaskConfig().batches
    assert (usual.forget_coefficient, usual.retain_coefficient, usual.text_coefficient, usual.seed, usual.steps) == (1.0, 1.0, 1.0, 0, 50)
    given = {"forget_coefficient": 2.0, "retain_coefficient": 3.0, "text_coefficient": 4.0, "steps": 5, "retain_batch": 6, "text_batch": 7,
             "seed": 8, "loss": "unlearning", "precision": "bfloat16"}  # fmt: skip
    found = MaskConfig(**given).batches
    assert {name: getattr(found, name) for name in given} == given


@pytest.mark.parametrize("momentum", [-0.1, 1.0, float("nan")])
def test_a_momentum_that_never_forgets_is_refused(momentum):
    with pytest.raises(ParameterError, match="momentum="):
        MaskConfig(momentum=momentum)
