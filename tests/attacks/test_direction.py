"""The direction is the difference of means; the copy loses it at every token but the first, and nothing else changes."""

import pytest
import torch
from editing import FORGET, RETAIN, bits, same
from tiny_models import tiny_model

from mechlib.attacks.attack import Knowledge
from mechlib.attacks.direction import direction_removal, directions
from mechlib.components import Component, ComponentError
from mechlib.edit.delta import Delta
from mechlib.evals.answers import answer_prompts
from mechlib.models.forward import residual_stream
from mechlib.models.packed import pack
from mechlib.models.precision import multiplying
from mechlib.models.table import ModelError
from mechlib.models.tokens import answer_token

PROMPTS = [*FORGET, *RETAIN]
LAYERS = ("all", "early", "middle", "late")


def edit_of(model, name="L1.mlp", size=0.3):
    generator = torch.Generator().manual_seed(1)
    blocks = Component.parse(name).weights(model.architecture)
    return Delta({block: torch.randn(block.shape, generator=generator) * size for block in blocks})


def attacked_by(model, original, layers="all"):
    (attacked,) = direction_removal(model, Knowledge(FORGET, RETAIN, (), original), 0, layers=layers)
    assert (attacked.setting, attacked.step, attacked.rewrite(FORGET[0])) == (layers, 0, FORGET[0])
    return attacked.model


def pair(family, **sizes):
    """Two networks of the same random weights: one to edit and one to keep."""
    return tiny_model(family, **sizes), tiny_model(family, **sizes)


def log_probabilities(model, batch_size=64):
    return torch.tensor([answer.log_probability for answer in answer_prompts(model, PROMPTS, batch_size=batch_size)])


def outputs(model):
    """Output of every layer but the last, at every token of every prompt [layer, text, position, d_model], and what is no padding."""
    packed = pack(model, model.tokenizer([asked.text for asked in PROMPTS]).input_ids, rows=len(PROMPTS), share_at_most=0)
    longest = max(map(len, packed.paths))
    paths = torch.stack([torch.cat([path, path[-1:].expand(longest - len(path))]) for path in packed.paths])
    real = torch.arange(longest) < torch.tensor([[len(path)] for path in packed.paths])
    entries = residual_stream(model, packed, range(1, model.architecture.n_layers))
    return torch.stack([entry.at(paths) for entry in entries]), real


def after_layer_1(model, text):
    """The residual stream at a text's last token, by the library of the network."""
    with torch.no_grad():
        return model.network(**model.tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states[2][0, -1]


def steered(model, layer, vector):
    """A copy that adds a vector to a layer's output at every token but the first: hidden, not removed."""
    twin = model.shared_copy()

    def hook(_module, _inputs, options, output):
        return output + (options["position_ids"] > 0)[..., None] * vector

    twin.layers[layer].register_forward_hook(hook, with_kwargs=True)
    return twin


@pytest.mark.parametrize("family", ["gemma3", "llama", "gemma2", "gemma"])
def test_the_direction_is_the_difference_of_means(family):
    model, original = pair(family)
    changed = edit_of(model).edited(model)
    found = directions(changed, original, FORGET)
    edited, unedited = (torch.stack([after_layer_1(one, asked.text) for asked in FORGET]).mean(0) for one in (changed, original))
    difference = edited - unedited
    assert found.shape == (3, 32)
    assert not found[0].any()
    torch.testing.assert_close(found[1], difference / difference.norm(), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(found[1:].norm(dim=1), torch.ones(2))


def test_the_order_of_prompts_does_not_matter_and_that_of_models_is_the_sign():
    model, original = pair("gemma3")
    changed = edit_of(model).edited(model)
    found = directions(changed, original, PROMPTS)
    torch.testing.assert_close(found, directions(changed, original, PROMPTS[::-1]), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found, -directions(original, changed, PROMPTS), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("layers", LAYERS)
def test_without_a_difference_the_model_stays_as_it_is(tiny, layers):
    assert not directions(tiny, tiny.shared_copy(), FORGET).any()
    assert torch.equal(log_probabilities(attacked_by(tiny, tiny.shared_copy(), layers)), log_probabilities(tiny))


def test_rounding_is_no_direction():
    model, original = pair("gemma3")
    changed = edit_of(model, size=1e-8).edited(model)
    assert not same(bits(changed), bits(original))
    assert not directions(changed, original, FORGET).any()
    changed = edit_of(model, size=1e-2).edited(model)
    assert directions(changed, original, FORGET)[1:].any(1).all()


@pytest.mark.parametrize("family", ["gemma3", "llama", "gemma2", "gemma"])
def test_every_token_but_the_first_loses_it(family):
    model, original = pair(family)
    changed = edit_of(model, "L0.mlp").edited(model)
    found = directions(changed, original, FORGET)[:-1]
    (plain, real), (now, _) = outputs(changed), outputs(attacked_by(changed, original))
    along, before = (torch.einsum("ltpd,ld->ltp", streams, found) * real for streams in (now, plain))
    assert along[:, :, 1:].abs().max() < 1e-4
    assert before[:, :, 1:].abs().max() > 0.1
    assert torch.equal(now[:, :, 0], plain[:, :, 0])
    assert before[:, :, 0].abs().min() > 1e-4
    # What is at a right angle to the direction, the first layer hands on as it was.
    kept = plain[0] - (plain[0] @ found[0])[..., None] * found[0]
    torch.testing.assert_close(now[0][:, 1:], kept[:, 1:], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("count", [3, 4, 5, 7, 8])
def test_thirds_are_a_partition_of_the_layers(count):
    model, original = pair("llama", num_hidden_layers=count)
    changed = edit_of(model, "L0.mlp").edited(model)
    found = directions(changed, original, FORGET)
    touched = {}
    for layers in LAYERS:
        twin = attacked_by(changed, original, layers)
        hidden = torch.randn(1, 2, 32)
        touched[layers] = [n for n in range(count) if passes_less(twin.layers[n], hidden, found[n])]
    assert touched["early"] + touched["middle"] + touched["late"] == touched["all"] == list(range(count))
    sizes = [len(touched[layers]) for layers in LAYERS[1:]]
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1


def passes_less(layer, hidden, direction):
    """Whether a layer, made to pass its input on, takes the direction out of it."""
    vars(layer)["forward"] = lambda hidden, **_options: hidden
    output = layer(hidden, position_ids=torch.arange(2)[None])
    del vars(layer)["forward"]
    return bool((output[0, 1] @ direction).abs() < 1e-5 < (hidden[0, 1] @ direction).abs())


@pytest.mark.parametrize("family", ["gemma3", "llama", "gemma2", "gemma"])
def test_what_is_hidden_behind_a_direction_comes_back_however_far_it_was_pushed(family):
    model = tiny_model(family)
    vector = torch.nn.functional.normalize(torch.randn(32, generator=torch.Generator().manual_seed(3)), dim=0)
    weak, strong = (steered(model, 1, size * vector) for size in (1.0, 100.0))
    for hidden in (weak, strong):
        torch.testing.assert_close(directions(hidden, model, FORGET)[1], vector, atol=1e-4, rtol=1e-3)
    plain = log_probabilities(model)
    pushed, healed = ((log_probabilities(one) - plain).abs().mean() for one in (strong, attacked_by(strong, model, "middle")))
    assert healed < pushed / 2
    torch.testing.assert_close(
        log_probabilities(attacked_by(strong, model, "middle")), log_probabilities(attacked_by(weak, model, "middle")), atol=1e-2, rtol=1e-2
    )


def test_answers_do_not_depend_on_batches_or_shared_prefixes(tiny):
    model = edit_of(tiny).edited(tiny)
    twin = attacked_by(model, tiny_model(model.name.removeprefix("tiny-")))
    answers = log_probabilities(twin)
    assert (answers - log_probabilities(model)).abs().max() > 1e-2
    torch.testing.assert_close(answers, log_probabilities(twin, batch_size=1), atol=1e-4, rtol=1e-4)
    with torch.no_grad():
        alone = [
            twin.network(**twin.tokenizer(one.text, return_tensors="pt")).logits[0, -1].log_softmax(-1)[answer_token(twin, one.answer)]
            for one in PROMPTS
        ]
    torch.testing.assert_close(answers, torch.stack(alone), atol=1e-4, rtol=1e-4)


def test_the_model_is_as_it_was(tiny):
    original = tiny_model(tiny.name.removeprefix("tiny-"))
    changed = edit_of(tiny).edited(tiny)
    before, answers = bits(changed), log_probabilities(changed)
    one, other = (log_probabilities(attacked_by(changed, original)) for _ in range(2))
    assert torch.equal(one, other)
    closed = direction_removal(changed, Knowledge(FORGET, RETAIN, (), original), 0)
    twin = next(closed).model
    assert all(twin.parameters[name] is weight for name, weight in changed.parameters.items())
    closed.close()
    assert same(bits(changed), before)
    assert torch.equal(log_probabilities(changed), answers)
    assert same(bits(original), bits(tiny))


def test_other_layers_are_refused(tiny_gemma3):
    with pytest.raises(ComponentError, match="^there are no 'top' layers \\(choose all, early, middle, late\\)$"):
        attacked_by(tiny_gemma3, tiny_gemma3, "top")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_unedited_model_has_no_direction_in_either_precision(precision):
    model, original = (multiplying(one, precision) for one in pair("gemma3"))
    assert not directions(model, original, FORGET).any()
    assert torch.equal(log_probabilities(attacked_by(model, original)), log_probabilities(model))
    edited = multiplying(edit_of(model).edited(model), precision)
    found = directions(edited, original, FORGET)
    assert not found[0].any() and found[1:].any(1).all()


def test_models_that_multiply_in_different_precisions_are_not_compared():
    model, original = pair("gemma3")
    with pytest.raises(ModelError, match="multiplies in bfloat16 and the original in float32: the two differ by rounding everywhere"):
        attacked_by(multiplying(model, "bfloat16"), original)
