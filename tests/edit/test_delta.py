"""A delta comes and goes without a trace, survives its file, and fits only its model."""

import pytest
import torch
from editing import LOCALIZATIONS, bits, localization, same
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from tiny_models import tiny_model

from mechlib.checks import ParameterError
from mechlib.components import Component, WeightSlice
from mechlib.edit.delta import Delta, EditError, merge

COMPONENTS = [f"L{layer}.{part}" for layer in range(3) for part in ("head0", "head1", "head3", "kv0", "kv1", "mlp")]
GRAINS = [f"L1.{part}" for part in ("attn", "mlp", "head0", "head3", "kv1", "neuron0", "neuron7", "neuron47")]
HALF = tiny_model("llama")
HALF.network.bfloat16()


def inside_others(names):
    return {name for name in names if ("neuron" in name and "L1.mlp" in names) or (("head" in name or "kv" in name) and "L1.attn" in names)}


places = st.sets(st.sampled_from(COMPONENTS), min_size=1)
grains = st.sets(st.sampled_from(GRAINS), min_size=1).map(lambda names: names - inside_others(names))


def random_delta(model, names, seed=0, size=0.1, **provenance):
    generator = torch.Generator().manual_seed(seed)
    blocks = [block for name in sorted(names) for block in Component.parse(name).weights(model.architecture)]
    changes = {block: torch.randn(block.shape, generator=generator)[block.index] * size for block in blocks}
    return Delta({block: change.bfloat16() for block, change in changes.items()}, provenance)


@given(places, st.integers(0, 99))
def test_the_edited_model_has_the_change_and_the_model_stays_as_it_was(tiny, names, seed):
    delta, before = random_delta(tiny, names, seed), bits(tiny)
    originals = {name: weight.detach().clone() for name, weight in tiny.parameters.items()}
    model = delta.edited(tiny)
    matrices = {block.parameter for block in delta.blocks}
    assert {name for name, weight in model.parameters.items() if weight.data_ptr() != tiny.parameters[name].data_ptr()} == matrices
    for block, change in delta.blocks.items():
        now = model.parameters[block.parameter][block.index]
        assert torch.equal(now, originals[block.parameter][block.index] + change.float())
        originals[block.parameter][block.index] = now
    assert all(torch.equal(weight, originals[name]) and not weight.requires_grad for name, weight in model.parameters.items())
    assert same(bits(tiny), before)


@given(places, places)
def test_bits_stay_in_half_precision_and_under_deltas_of_edited_models(inner, outer):
    model = HALF
    before = bits(model)
    changed = random_delta(model, outer, 1).edited(model)
    between = bits(changed)
    twice = random_delta(changed, inner, 2, size=100.0).edited(changed)
    assert not same(bits(twice), between)
    assert same(bits(changed), between)
    assert same(bits(model), before)


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
    block, change = next(iter(first.blocks.items()))
    assert first != Delta({**first.blocks, block: change + 1})


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
    with pytest.raises(EditError, match="made for another model: tiny-gemma3 has no model.layers"):
        delta.edited(other)
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


def in_float32(delta):
    return Delta({block: change.float() * (1 + 2.0**-20) for block, change in delta.blocks.items()}, delta.provenance)


def changes(model, delta):
    """The whole change of every matrix, in float64."""
    whole = {name: torch.zeros(weight.shape, dtype=torch.float64) for name, weight in model.parameters.items()}
    for block, change in delta.blocks.items():
        whole[block.parameter][block.index] += change
    return whole


@given(grains, grains, st.booleans())
def test_a_merge_is_one_delta_after_the_other(tiny_gemma3, earlier, later, exact):
    first, second = random_delta(tiny_gemma3, earlier, 1), random_delta(tiny_gemma3, later, 2)
    first, second = (in_float32(first), in_float32(second)) if exact else (first, second)
    merged = merge(first, second)
    places = [changes(tiny_gemma3, delta) for delta in (first, second)]
    expected = second.edited(first.edited(tiny_gemma3)).parameters
    changed = merged.edited(tiny_gemma3)
    for name, weight in changed.parameters.items():
        both = (places[0][name] != 0) & (places[1][name] != 0)
        assert torch.equal(weight[~both], expected[name][~both])
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=2.0**-22)
    assert merged.size == sum(int(((left != 0) | (right != 0)).sum()) for left, right in zip(*(p.values() for p in places), strict=True))
    whole = changes(tiny_gemma3, merged)
    assert merged.norm == pytest.approx(torch.cat([change.flatten() for change in whole.values()]).norm().item())


@given(grains, grains)
def test_a_merge_is_exact_where_sums_are(tiny_gemma3, earlier, later):
    # Multiples of 1/256 below 4 added to weights that are such multiples: no sum is rounded.
    coarse = tiny_model("gemma3")
    for weight in coarse.parameters.values():
        weight.data = (weight.data * 256).round() / 256
    deltas = [random_delta(coarse, names, seed) for seed, names in enumerate((earlier, later))]
    deltas = [Delta({block: (change.float() * 256).round() / 256 for block, change in delta.blocks.items()}) for delta in deltas]
    expected = bits(deltas[1].edited(deltas[0].edited(coarse)))
    changed = merge(*deltas).edited(coarse)
    assert same(bits(changed), expected)


@pytest.mark.parametrize(("part", "whole"), [("L1.head2", "L1.attn"), ("L1.kv1", "L1.attn"), ("L1.neuron7", "L1.mlp")])
def test_a_part_is_merged_into_the_whole(tiny_gemma3, part, whole):
    inner, outer = random_delta(tiny_gemma3, [part], 1), random_delta(tiny_gemma3, [whole], 2)
    for merged in (merge(inner, outer), merge(outer, inner)):
        assert set(merged.blocks) == set(outer.blocks)
        for block, change in inner.blocks.items():
            host = next(host for host in outer.blocks if host.parameter == block.parameter)
            total = outer.blocks[host].float()
            total[block.index] += change
            assert torch.equal(merged.blocks[host], total)


def test_what_only_one_delta_changes_stays_in_its_own_tensor(tiny_gemma3):
    first, second = random_delta(tiny_gemma3, ["L0.mlp", "L1.head0"], 1), random_delta(tiny_gemma3, ["L1.head1", "L0.mlp"], 2)
    merged = merge(first, second)
    dtypes = {block.parameter.split(".", 3)[3]: change.dtype for block, change in merged.blocks.items()}
    assert {dtype for name, dtype in dtypes.items() if "mlp" in name} == {torch.float32}
    assert {dtype for name, dtype in dtypes.items() if "attn" in name} == {torch.bfloat16}
    assert merged.size == first.size + second.size - 3 * 32 * 48


def test_a_merge_says_what_it_is_made_of_and_survives_its_file(tmp_path, tiny_gemma3):
    first, second = (random_delta(tiny_gemma3, ["L1.mlp"], seed, seed_was=seed) for seed in (1, 2))
    merged = merge(merge(first, second), first)
    merged.save(tmp_path / "merged.safetensors")
    read = Delta.load(tmp_path / "merged.safetensors")
    assert read == merged
    assert read.provenance == {"merged": [{"merged": [{"seed_was": 1}, {"seed_was": 2}]}, {"seed_was": 1}]}


def negative(delta):
    return Delta({block: -change for block, change in delta.blocks.items()})


def test_what_cannot_be_merged_is_one_clear_line(tiny_gemma3):
    delta = random_delta(tiny_gemma3, ["L1.mlp"])
    with pytest.raises(EditError, match="cancel each other"):
        merge(delta, negative(delta))
    other = random_delta(tiny_model("gemma3", intermediate_size=40), ["L1.mlp"])
    with pytest.raises(EditError, match="different models: model.layers.1.mlp.gate_proj.weight has two shapes"):
        merge(delta, other)
    name, shape = "model.layers.1.mlp.up_proj.weight", (48, 32)
    rows, columns = Delta({WeightSlice(name, shape, rows=(0, 9)): torch.ones(9, 32)}), WeightSlice(name, shape, columns=(3, 9))
    with pytest.raises(EditError, match="overlap in part"):
        merge(rows, Delta({columns: torch.ones(48, 6)}))


def test_rows_that_many_neurons_share_are_found():
    shape = (1200, 2)
    blocks = [WeightSlice("model.layers.0.mlp.up_proj.weight", shape, rows=(n, n + 1)) for n in range(1200)]
    first, second = (Delta({block: torch.ones(1, 2) for block in blocks[start : start + 800]}) for start in (0, 400))
    merged = merge(first, second)
    assert merged.size == 2400
    assert all(change.sum() == (4 if 400 <= (block.rows or (0, 0))[0] < 800 else 2) for block, change in merged.blocks.items())


def test_a_file_written_before_there_were_merges_is_read(tmp_path):
    header = {
        "blocks": '{"0000": {"parameter": "model.layers.0.mlp.up_proj.weight", "shape": [4, 2], "rows": [1, 3], "columns": null}}',
        "provenance": '{"seed": 3}',
    }
    save_file({"0000": torch.ones(2, 2, dtype=torch.bfloat16)}, tmp_path / "old.safetensors", metadata=header)
    read = Delta.load(tmp_path / "old.safetensors")
    assert read == Delta({WeightSlice("model.layers.0.mlp.up_proj.weight", (4, 2), rows=(1, 3)): torch.ones(2, 2, dtype=torch.bfloat16)})
    assert read.provenance == {"seed": 3}


@pytest.mark.parametrize("norm", [0.3, 1.0, 7.5])
def test_at_norm_keeps_the_direction(norm, tiny_gemma3):
    delta = random_delta(tiny_gemma3, {"L1.mlp", "L0.head1"}, seed=3)
    found = delta.at_norm(norm)
    assert found.norm == pytest.approx(norm, rel=1e-2) and found.blocks.keys() == delta.blocks.keys()
    for block, change in delta.blocks.items():
        assert torch.allclose(found.blocks[block].float() * delta.norm, change.float() * norm, rtol=1e-2)
    assert found.provenance["rescaled by"] == pytest.approx(norm / delta.norm)


@pytest.mark.parametrize("norm", [0, -1.0, float("nan"), float("inf")])
def test_a_norm_is_a_finite_number_above_zero(norm, tiny_gemma3):
    with pytest.raises(ParameterError):
        random_delta(tiny_gemma3, {"L1.mlp"}).at_norm(norm)
