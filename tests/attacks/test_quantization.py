"""Quantized weights are those of other libraries and of hands; the attack works on copies; an edit within a bucket is undone."""

import pytest
import torch
from bitsandbytes.functional import dequantize_4bit, get_4bit_type, quantize_4bit
from editing import FORGET, RETAIN, bits, same
from hypothesis import given
from hypothesis import strategies as st

from mechlib.attacks.attack import Knowledge
from mechlib.attacks.quantization import NORMAL_FLOAT, SCHEMES, SchemeError, crossings, quantization, quantized
from mechlib.components import Component, modules
from mechlib.edit.delta import Delta
from mechlib.evals.answers import answer_prompts

EVEN = {"int8": (127, 10**6), "int4_128": (7, 128), "int4_64": (7, 64)}
ROUGH = [scheme for scheme in SCHEMES if scheme != "bfloat16"]
every = pytest.mark.parametrize("scheme", SCHEMES)
rough = pytest.mark.parametrize("scheme", ROUGH)
shapes = st.tuples(st.integers(1, 5), st.integers(1, 300))


def matrix(shape, seed=0, size=0.02):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * size


def attacks(model, *schemes):
    return quantization(model, Knowledge(FORGET, RETAIN, (), model), 0, schemes=schemes)


def matrices(model):
    return {block.parameter for component in modules(model.architecture) for block in component.weights(model.architecture)}


def log_probabilities(model):
    return torch.tensor([answer.log_probability for answer in answer_prompts(model, [*FORGET, *RETAIN])])


def test_by_hand():
    assert quantized(torch.tensor([[7.0, 3.4, -2.6, 0.2, -0.7]]), "int4_64").tolist() == [pytest.approx([7, 3, -3, 0, -1])]
    assert quantized(torch.tensor([[127, 1.4, -0.6, 99.5001], [254, 1.4, -0.6, 98.9]]), "int8").tolist() == [
        pytest.approx([127, 1, -1, 100]),
        pytest.approx([254, 2, 0, 98]),
    ]
    normal = quantized(torch.tensor([[2.0, 1.1, 1.3, -0.4, 0.05, -2.0]]), "nf4")
    assert normal.tolist() == [pytest.approx([2, 2 * 0.562617, 2 * 0.722957, 2 * -0.184773, 0, -2], rel=1e-5)]
    # 8 bits of significand: next to 1 in steps of 1/128, next to 256 in steps of 2.
    assert quantized(torch.tensor([[1 + 1 / 128, 1 + 1 / 512, 257.5]]), "bfloat16").tolist() == [[1 + 1 / 128, 1.0, 258.0]]


@given(shapes, st.integers(0, 99))
@pytest.mark.parametrize("scheme", EVEN)
def test_even_schemes_are_fake_quantization_of_each_block(scheme, shape, seed):
    levels, size = EVEN[scheme]
    weight = matrix(shape, seed)
    blocks = [
        torch.fake_quantize_per_channel_affine(
            part, part.abs().amax(1) / levels, torch.zeros(len(part), dtype=torch.int32), 0, -levels, levels
        )
        for part in weight.split(size, dim=1)
    ]
    steps = torch.cat([(part.abs().amax(1, keepdim=True) / levels).expand_as(part) for part in weight.split(size, dim=1)], dim=1)
    # Halfway between two codes the rounding of a quotient decides which is nearer.
    halfway = ((weight / steps).frac().abs() - 0.5).abs() < 1e-4
    off = (quantized(weight, scheme) - torch.cat(blocks, dim=1)).abs() / steps
    assert off.max() < 1.001
    assert off[~halfway].max() < 1e-4


@pytest.mark.parametrize("size", [1e-3, 1e3])
@pytest.mark.parametrize("shape", [(4, 128), (5, 50), (1, 7), (33, 640)])
def test_nf4_is_that_of_bitsandbytes(shape, size):
    weight = matrix(shape, 4, size)
    theirs = dequantize_4bit(*quantize_4bit(weight, blocksize=64, quant_type="nf4", compress_statistics=False))
    assert torch.equal(quantized(weight, "nf4"), theirs)


def test_the_code_book_is_that_of_bitsandbytes():
    assert torch.equal(torch.tensor(NORMAL_FLOAT), get_4bit_type("nf4", device="cpu"))


@every
@given(shapes, st.integers(0, 99))
def test_what_any_scheme_keeps(scheme, shape, seed):
    weight = matrix(shape, seed)
    before = weight.clone()
    weight[0, 0] = before[0, 0] = 0.0
    once = quantized(weight, scheme)
    assert torch.equal(weight, before)
    assert once.shape == weight.shape
    assert once[0, 0] == 0
    assert (once * weight >= 0).all()
    assert once.abs().max() <= weight.abs().max() * (1 + 2**-8)
    assert torch.equal(quantized(4 * weight, scheme), 4 * once)
    torch.testing.assert_close(quantized(once, scheme), once)
    if scheme != "nf4":
        assert torch.equal(quantized(-weight, scheme), -once)
        assert torch.equal(quantized(weight.flip(0), scheme), once.flip(0))


@rough
def test_no_weight_is_further_off_than_half_the_widest_step(scheme):
    weight, codes = matrix((8, 64)), torch.tensor(SCHEMES[scheme].codes)
    off = (quantized(weight, scheme) - weight).abs() / weight.abs().amax(1, keepdim=True)
    half = codes.diff().max() / 2
    assert half * 0.5 < off.max() <= half * 1.00001


@pytest.mark.parametrize(("scheme", "first"), [
    ("int4_64", 64),
    ("int4_128", 128),
    ("nf4", 64),
])  # fmt: skip
def test_a_large_weight_spoils_its_block_and_the_shorter_last_one_not(scheme, first):
    weight = matrix((1, first + 3))
    spoilt = weight.clone()
    spoilt[0, 0] = 1e4
    one, other = quantized(weight, scheme), quantized(spoilt, scheme)
    assert one[0, 1:first].any()
    assert not other[0, 1:first].any()
    assert torch.equal(one[0, first:], other[0, first:])
    assert one[0, first:].abs().max() == weight[0, first:].abs().max()


@every
def test_extremes(scheme):
    assert not quantized(torch.zeros(3, 70), scheme).any()
    tiny = torch.full((2, 3), 1e-45)
    assert quantized(tiny, scheme).isfinite().all()
    single = matrix((1, 1)).bfloat16()
    assert torch.equal(quantized(single, scheme), single)
    assert quantized(matrix((3, 70)).bfloat16(), scheme).dtype == torch.bfloat16


def test_only_matrices_of_attention_and_mlp_are_quantized(tiny):
    before = tiny.parameters
    for attacked in attacks(tiny, *SCHEMES):
        after = attacked.model.parameters
        assert after.keys() == before.keys()
        assert {name for name in after if after[name] is not before[name]} == matrices(tiny)
        for name in matrices(tiny):
            assert torch.equal(after[name], quantized(before[name].detach(), attacked.setting))
            assert not after[name].requires_grad


def test_the_model_is_as_it_was(tiny):
    before, answers = bits(tiny), log_probabilities(tiny)
    settings = []
    for attacked in attacks(tiny, *SCHEMES):
        settings.append((attacked.setting, attacked.step))
        assert attacked.rewrite(FORGET[0]) is FORGET[0]
        assert same(bits(tiny), before)
    assert settings == [(scheme, 0) for scheme in SCHEMES]
    closed = attacks(tiny, *SCHEMES)
    next(closed)
    closed.close()
    assert same(bits(tiny), before)
    assert torch.equal(log_probabilities(tiny), answers)


def test_fewer_bits_move_answers_further(tiny):
    plain = log_probabilities(tiny)
    moved = {attacked.setting: (log_probabilities(attacked.model) - plain).abs().mean().item() for attacked in attacks(tiny, *SCHEMES)}
    assert moved["bfloat16"] < 0.1
    assert 0 < moved["bfloat16"] < moved["int4_64"]
    assert 0 < moved["int8"] < min(moved["int4_64"], moved["int4_128"], moved["nf4"])


def test_every_time_the_same(tiny_gemma3):
    one, other = ([log_probabilities(attacked.model) for attacked in attacks(tiny_gemma3, "nf4", "int8", "nf4")] for _ in range(2))
    assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))
    assert torch.equal(one[0], one[2])


@rough
def test_an_edit_within_a_bucket_is_undone_and_a_larger_one_is_not(tiny_gemma3, scheme):
    blocks = Component.parse("L1.mlp").weights(tiny_gemma3.architecture)
    (plain,) = (log_probabilities(attacked.model) for attacked in attacks(tiny_gemma3, scheme))
    for size, undone in ((1e-9, True), (0.3, False)):
        edit = Delta({block: torch.full(block.shape, size) * matrix(block.shape, 1, 1.0).sign() for block in blocks})
        changed = edit.edited(tiny_gemma3)
        now = changed.parameters[blocks[0].parameter].detach().clone()
        for attacked in attacks(changed, scheme):
            assert torch.equal(attacked.model.parameters[blocks[0].parameter], quantized(now, scheme))
            assert torch.allclose(log_probabilities(attacked.model), plain, atol=1e-4) == undone


@pytest.mark.parametrize("call", [
    lambda model: next(attacks(model, "int8", "int3")),
    lambda model: quantized(matrix((2, 2)), "int3"),
])  # fmt: skip
def test_an_unknown_scheme_is_named(tiny_gemma3, call):
    with pytest.raises(SchemeError, match="^there is no scheme 'int3' \\(there are: bfloat16, int8, int4_128, int4_64, nf4\\)$"):
        call(tiny_gemma3)


def moved(model, name, index, value):
    """The model with some weights of one matrix changed by a value."""
    twin = model.shared_copy()
    weight = twin.module(name).weight.detach().clone()
    weight[index] += value
    twin.module(name).weight = torch.nn.Parameter(weight, requires_grad=False)
    return twin


def test_what_crosses_a_step_by_hand(tiny):
    """One row of codes -7 to 7 in steps of 1: changes of .2 cross where they pass a half, and carry a whole step each."""
    name = Component(0, "mlp").weights(tiny.architecture)[0].parameter
    weight = torch.zeros_like(tiny.module(name).weight)
    weight[0, :5] = torch.tensor([7.0, 0.4, 1.4, 2.0, 3.1])
    before = tiny.shared_copy()
    before.module(name).weight = torch.nn.Parameter(weight, requires_grad=False)
    after = moved(before, name, (0, slice(1, 5)), 0.2)
    (row,) = crossings(before, after, ["int4_64"])
    assert (row.scheme, row.changed, row.crossed) == ("int4_64", 4, 2)
    assert row.kept == pytest.approx((0.2 * 1 + 0.2 * 1) / (4 * 0.2**2), rel=1e-4)


@every
def test_a_change_of_many_weights_is_kept_on_average_and_one_below_a_step_of_zeros_is_lost(tiny, scheme):
    name = Component(1, "mlp").weights(tiny.architecture)[0].parameter
    shape = tiny.module(name).weight.shape
    before = tiny.shared_copy()
    before.module(name).weight = torch.nn.Parameter(matrix(shape, 3), requires_grad=False)
    after = moved(before, name, slice(None), matrix(shape, 4, 2e-3))
    (row,) = crossings(before, after, [scheme])
    assert row.changed == before.module(name).weight.numel() and 0 < row.crossed <= row.changed
    assert row.kept == pytest.approx(1, abs=0.35)
    assert crossings(before, before, [scheme])[0] == type(row)(scheme, 0, 0, 1.0)


def test_a_change_within_a_step_is_lost(tiny):
    name = Component(0, "mlp").weights(tiny.architecture)[0].parameter
    weight = torch.zeros_like(tiny.module(name).weight)
    weight[:, 0] = 7.0
    before = tiny.shared_copy()
    before.module(name).weight = torch.nn.Parameter(weight, requires_grad=False)
    (row,) = crossings(before, moved(before, name, (0, slice(1, 9)), 0.4), ["int4_64"])
    assert (row.changed, row.crossed, row.kept) == (8, 0, 0.0)
    with pytest.raises(SchemeError, match="int3"):
        crossings(before, before, ["int3"])
