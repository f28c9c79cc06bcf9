"""A delta comes and goes without a trace, survives its file, and fits only its model."""

import pytest
import torch
from conftest import tiny_model
from editing import LOCALIZATIONS, bits, localization, same
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from mechlib.components import Component, WeightSlice
from mechlib.edit.delta import Delta, EditError

COMPONENTS = [f"L{layer}.{part}" for layer in range(3) for part in ("head0", "head1", "head3", "kv0", "kv1", "mlp")]
HALF = tiny_model("llama")
HALF.network.bfloat16()
places = st.sets(st.sampled_from(COMPONENTS), min_size=1)


def random_delta(model, names, seed=0, size=0.1, **provenance):
    generator = torch.Generator().manual_seed(seed)
    blocks = [block for name in sorted(names) for block in Component.parse(name).weights(model.architecture)]
    changes = {block: torch.randn(block.shape, generator=generator)[block.index] * size for block in blocks}
    return Delta({block: change.bfloat16() for block, change in changes.items()}, provenance)


@given(places, st.integers(0, 99))
def test_applied_adds_the_change_and_takes_it_back(tiny, names, seed):
    delta, before = random_delta(tiny, names, seed), bits(tiny)
    originals = {name: weight.detach().clone() for name, weight in tiny.parameters.items()}
    with delta.applied(tiny) as model:
        assert model is tiny
        for block, change in delta.blocks.items():
            now = tiny.parameters[block.parameter][block.index]
            assert torch.equal(now, originals[block.parameter][block.index] + change.float())
            originals[block.parameter][block.index] = now
        assert all(torch.equal(weight, originals[name]) for name, weight in tiny.parameters.items())
    assert same(bits(tiny), before)


@given(places, places)
def test_bits_come_back_from_half_precision_and_from_deltas_inside_deltas(inner, outer):
    model = HALF
    before = bits(model)
    with random_delta(model, outer, 1).applied(model):
        between = bits(model)
        with random_delta(model, inner, 2, size=100.0).applied(model):
            assert not same(bits(model), between)
        assert same(bits(model), between)
    assert same(bits(model), before)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_bits_come_back_when_the_body_raises(tiny, error):
    before = bits(tiny)
    with pytest.raises(error), random_delta(tiny, LOCALIZATIONS["mixed"]).applied(tiny):
        raise error
    assert same(bits(tiny), before)


@given(places, st.dictionaries(st.text(max_size=4), st.one_of(st.integers(), st.text(max_size=4)), max_size=3))
def test_a_delta_survives_its_file(tmp_path_factory, names, provenance):
    path = tmp_path_factory.mktemp("delta") / "delta.safetensors"
    delta = random_delta(HALF, names)
    delta = Delta(delta.blocks, provenance)
    delta.save(path)
    read = Delta.load(path)
    assert read == delta
    assert read.provenance == provenance
    assert (read.size, read.norm) == (delta.size, delta.norm)
    assert all(change.dtype == torch.bfloat16 for change in read.blocks.values())


def test_size_and_norm_are_over_all_blocks(tiny_gemma3):
    delta = random_delta(tiny_gemma3, LOCALIZATIONS["mixed"])
    assert delta.size == localization(tiny_gemma3, LOCALIZATIONS["mixed"]).parameters
    assert delta.norm == pytest.approx(torch.cat([change.flatten().double() for change in delta.blocks.values()]).norm().item())


def test_deltas_are_equal_by_their_blocks(tiny_gemma3):
    first = random_delta(tiny_gemma3, ["L1.mlp"])
    assert first == random_delta(tiny_gemma3, ["L1.mlp"])
    assert first != random_delta(tiny_gemma3, ["L1.mlp"], seed=1)
    assert first != random_delta(tiny_gemma3, ["L2.mlp"])
    assert first != "delta"


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_an_error(tmp_path, tiny_gemma3, share):
    path = tmp_path / "delta.safetensors"
    random_delta(tiny_gemma3, LOCALIZATIONS["mixed"]).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(EditError, match="no delta or is truncated") as caught:
        Delta.load(path)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_deltas(tmp_path):
    save_file({"weight": torch.ones(2)}, tmp_path / "other.safetensors")
    save_file({"0000": torch.ones(2)}, tmp_path / "halfway.safetensors", metadata={"blocks": "{}"})
    (tmp_path / "text.safetensors").write_text("not at all")
    for name in ("other", "halfway", "text", "missing"):
        with pytest.raises(EditError):
            Delta.load(tmp_path / f"{name}.safetensors")


@pytest.mark.parametrize("sizes", [{"hidden_size": 16}, {"num_hidden_layers": 2}, {"intermediate_size": 40}, {"num_key_value_heads": 1}])
def test_a_delta_of_another_model_is_refused_before_anything_changes(tiny_gemma3, sizes):
    delta = random_delta(tiny_gemma3, ["L0.mlp", "L1.kv0", "L2.mlp"])
    other = tiny_model("gemma3", **sizes)
    before = bits(other)
    with pytest.raises(EditError, match="made for another model: tiny-gemma3 has no model.layers"), delta.applied(other):
        pytest.fail("applied")
    assert same(bits(other), before)


def test_a_change_of_nothing_or_to_no_number_is_an_error():
    block = WeightSlice("model.layers.0.mlp.up_proj.weight", (2, 3))
    with pytest.raises(EditError, match="changed no weight"):
        Delta({block: torch.zeros(2, 3)})
    with pytest.raises(EditError, match="changed no weight"):
        Delta({})
    for value in (float("nan"), float("inf")):
        with pytest.raises(EditError, match="up_proj.weight is not finite"):
            Delta({block: torch.full((2, 3), value)})
