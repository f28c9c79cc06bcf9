"""Components name exactly the weights that write their activation, and localizations survive a file."""

import json
from dataclasses import asdict

import pytest
import torch
from hooked import hooked
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import FAMILIES, tiny_model

from mechlib.components import (
    Architecture,
    Component,
    ComponentError,
    Localization,
    Ungated,
    heads_and_mlps,
    modules,
    read_architecture,
)
from mechlib.edit.delta import Delta
from mechlib.facts import FORMATS, athletes, prompts
from mechlib.models.forward import answer_logits, tokenize

indices = st.integers(0, 500)
components = st.one_of(
    st.builds(Component, indices, st.sampled_from(["attn", "mlp"])),
    st.builds(Component, indices, st.sampled_from(["head", "kv", "neuron"]), indices),
)


@st.composite
def architectures(draw):
    groups, width, heads = draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    return Architecture(draw(st.integers(1, 4)), groups * heads, groups, draw(st.integers(1, 9)), width, draw(st.integers(1, 9)))


def parts_of_attention(arch, layer):
    return [
        *(Component(layer, "head", number) for number in range(arch.n_heads)),
        *(Component(layer, "kv", number) for number in range(arch.n_key_value_heads)),
    ]


@given(components)
def test_a_name_is_read_back(component):
    assert Component.parse(str(component)) == component
    assert Component.parse(f"  {component}\n") == component


@pytest.mark.parametrize(
    "name",
    ["", "mlp", "L.mlp", "L1", "L1.mlp2", "L1.attn0", "L1.head", "l1.mlp", "L-1.mlp", "L1.head-2", "L1.mlp L2.mlp", "L1.gate", "L1.neuron"],
)
def test_no_name_of_a_component(name):
    with pytest.raises(ComponentError, match=r"L7\.mlp"):
        Component.parse(name)


def test_an_index_belongs_to_heads_and_groups_only():
    for arguments in ((1, "head"), (1, "kv"), (1, "neuron"), (1, "attn", 0), (1, "mlp", 0)):
        with pytest.raises(ComponentError, match="index"):
            Component(*arguments)


@pytest.mark.parametrize("arguments", [(True, "mlp"), (1, "head", True), (True, "head", 1)])
def test_layers_and_indices_are_whole_numbers(arguments):
    with pytest.raises(ComponentError, match="is no component"):
        Component(*arguments)


def test_no_model_has_a_layer_below_its_first(tiny_gemma3):
    with pytest.raises(ComponentError, match="the model has layers 0 to 2"):
        Component(-1, "mlp").weights(tiny_gemma3.architecture)


@pytest.mark.parametrize("name", ["L3.mlp", "L9.attn", "L3.head0", "L0.head4", "L2.kv2", "L3.neuron0", "L0.neuron48"])
def test_the_model_lacks_the_component(tiny_gemma3, name):
    with pytest.raises(ComponentError, match=name.replace(".", r"\.")):
        Component.parse(name).weights(tiny_gemma3.architecture)


@given(architectures())
def test_heads_and_groups_add_up_to_the_attention_layer(arch):
    for layer in range(arch.n_layers):
        parts = parts_of_attention(arch, layer)
        assert sum(part.size(arch) for part in parts) == Component(layer, "attn").size(arch)


@given(architectures())
def test_neurons_add_up_to_the_mlp(arch):
    counts = {block.parameter: torch.zeros(block.shape) for block in Component(0, "mlp").weights(arch)}
    for number in range(arch.d_mlp):
        neuron = Component(0, "neuron", number)
        assert neuron.size(arch) == 3 * arch.d_model
        for block in neuron.weights(arch):
            counts[block.parameter][block.index] += 1
            assert counts[block.parameter][block.index].numel() == block.size
    assert all(bool((count == 1).all()) for count in counts.values())


def test_an_mlp_without_a_gate_is_up_and_down_and_its_sizes_are_read_again():
    gated = Architecture(2, 4, 4, 32, 8, 48)
    arch = Ungated(**asdict(gated))
    assert [block.parameter.split(".")[-2] for block in Component(1, "neuron", 5).weights(arch)] == ["up_proj", "down_proj"]
    assert Component(1, "mlp").size(arch) == 48 * Component(1, "neuron", 5).size(arch) == 2 * 32 * 48
    for sizes in (gated, arch):
        assert read_architecture(json.loads(json.dumps(asdict(sizes)))) == sizes
    assert set(asdict(arch)) - set(asdict(gated)) == {"gated"}


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("family", FAMILIES)
def test_heads_and_groups_cover_every_attention_weight_once(family, groups):
    model = tiny_model(family, num_key_value_heads=groups)
    for layer in range(model.architecture.n_layers):
        counts = {f"model.layers.{layer}.self_attn.{m}_proj.weight": None for m in "qkvo"}
        counts = {name: torch.zeros(model.parameters[name].shape) for name in counts}
        for part in parts_of_attention(model.architecture, layer):
            for block in part.weights(model.architecture):
                counts[block.parameter][block.index] += 1
                assert counts[block.parameter][block.index].numel() == block.size
        assert all(bool((count == 1).all()) for count in counts.values())


def test_sizes_are_the_tensors_own(tiny):
    found, arch = tiny.parameters, tiny.architecture
    for component in modules(arch):
        prefix = f"model.layers.{component.layer}.{'self_attn' if component.kind == 'attn' else 'mlp'}."
        assert component.size(arch) == sum(p.numel() for name, p in found.items() if name.startswith(prefix) and p.ndim == 2)
    everything = Localization.of("all", modules(arch), arch)
    others = ("norm", "embed", "lm_head", "bias", "ln_", "wte", "wpe")
    elsewhere = sum(weight.numel() for name, weight in found.items() if any(other in name for other in others))
    assert everything.parameters == sum(p.numel() for p in found.values()) - elsewhere


def outputs_of_layer_1(wrapped, batch):
    caught = {}

    def keeper(kind):
        return lambda tensor, hook: caught.update({kind: tensor.clone()})

    kinds = ("attn", "head", "mlp", "neuron")
    hooks = [(Component(1, kind, 0 if kind in ("head", "neuron") else None).hook, keeper(kind)) for kind in kinds]
    with torch.no_grad():
        answer_logits(wrapped.model, batch, hooks=wrapped.bridge.hooks(fwd_hooks=hooks))
    return caught


@pytest.mark.parametrize("name", ["L1.head0", "L1.head3", "L1.kv0", "L1.kv1", "L1.attn", "L1.mlp"])
def test_the_weights_of_a_component_write_its_activation_and_no_other(tiny, name):
    component, arch = Component.parse(name), tiny.architecture
    torch.manual_seed(1)
    blocks = component.weights(arch)
    delta = Delta({b: torch.randn(b.shape)[b.index] * 0.1 for b in blocks if "o_proj" not in b.parameter})
    batch = tokenize(tiny, [prompt.text for prompt in prompts(athletes().facts[::400], FORMATS["one_shot"])])
    wrapped = hooked(tiny)
    before = outputs_of_layer_1(wrapped, batch)
    after = outputs_of_layer_1(hooked(delta.edited(tiny)), batch)
    heads = {n for n in range(arch.n_heads) if not torch.equal(before["head"][:, :, n], after["head"][:, :, n])}
    per_group = arch.n_heads // arch.n_key_value_heads
    expected = {
        "head": {component.index},
        "kv": set(range((component.index or 0) * per_group, ((component.index or 0) + 1) * per_group)),
        "attn": set(range(arch.n_heads)),
        "mlp": set(),
    }[component.kind]
    # OLMo 2 norms the queries of all heads together, and the keys: there each of them scales the others.
    assert heads == (set(range(arch.n_heads)) if tiny.config.model_type == "olmo2" and expected else expected)
    assert torch.equal(before["attn"], after["attn"]) == (component.kind == "mlp")
    # In a Pythia the MLP reads what attention reads.
    beside = tiny.config.model_type == "gpt_neox" and component.kind != "mlp"
    assert torch.equal(before["mlp"], after["mlp"]) == beside


@pytest.mark.parametrize("number", [0, 7, 47])
def test_a_neuron_s_rows_write_its_own_activation_and_its_column_reads_it(tiny, number):
    blocks = Component(1, "neuron", number).weights(tiny.architecture)
    texts = [prompt.text for prompt in prompts(athletes().facts[::400], FORMATS["one_shot"])]
    batch = tokenize(tiny, texts)
    wrapped = hooked(tiny)
    before = outputs_of_layer_1(wrapped, batch)
    for block in blocks:
        after = outputs_of_layer_1(hooked(Delta({block: torch.ones(block.shape)[block.index]}).edited(tiny)), batch)
        changed = {n for n in range(48) if not torch.equal(before["neuron"][:, :, n], after["neuron"][:, :, n])}
        assert changed == (set() if "down_proj" in block.parameter else {number})
        assert not torch.equal(before["mlp"], after["mlp"])

    def silence(tensor, hook):
        tensor[:, :, number] = 0
        return tensor

    with torch.no_grad():
        silent = answer_logits(wrapped.model, batch, hooks=wrapped.bridge.hooks(fwd_hooks=[("blocks.1.mlp.hook_post", silence)]))
    for block in blocks:
        changed = Delta({block: -tiny.parameters[block.parameter].detach()[block.index]}).edited(tiny)
        with torch.no_grad():
            torch.testing.assert_close(answer_logits(changed, batch), silent, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("head", [0, 3])
def test_a_head_owns_the_columns_that_read_its_output(tiny, head):
    block = next(b for b in Component(1, "head", head).weights(tiny.architecture) if "o_proj" in b.parameter)
    texts = [prompt.text for prompt in prompts(athletes().facts[::400], FORMATS["one_shot"])]
    batch = tokenize(tiny, texts)
    wrapped = hooked(tiny)

    def silence(tensor, hook):
        tensor[:, :, head] = 0
        return tensor

    with torch.no_grad():
        silent = answer_logits(wrapped.model, batch, hooks=wrapped.bridge.hooks(fwd_hooks=[("blocks.1.attn.hook_z", silence)]))
    changed = Delta({block: -tiny.parameters[block.parameter].detach()[block.index]}).edited(tiny)
    with torch.no_grad():
        torch.testing.assert_close(answer_logits(changed, batch), silent, atol=1e-4, rtol=1e-4)


@given(
    architectures(),
    st.sets(st.integers(0, 999), min_size=1),
    st.dictionaries(st.text(max_size=5), st.one_of(st.integers(), st.text(max_size=5), st.none()), max_size=3),
)
def test_a_localization_survives_json(arch, picks, provenance):
    wanted = {heads_and_mlps(arch)[pick % len(heads_and_mlps(arch))] for pick in picks}
    made = Localization.of("some", wanted, arch)
    found = Localization(made.name, made.components, made.parameters, provenance)
    assert Localization.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert found.parameters == sum(component.size(arch) for component in wanted)
    assert found.layers == tuple(sorted({component.layer for component in wanted}))


def test_a_localization_survives_a_file(tmp_path, tiny_gemma3):
    wanted = [Component.parse(name) for name in ("L2.mlp", "L0.kv1", "L0.head3")]
    found = Localization.of("some", wanted, tiny_gemma3.architecture, seed=3, evidence="probe")
    found.save(tmp_path / "some.json")
    assert Localization.load(tmp_path / "some.json", tiny_gemma3.architecture) == found
    # Byte by byte, since what is kept is compared by its digest: a group has 2 * 8 * 32 weights, as a head, and an MLP 3 * 48 * 32.
    assert (tmp_path / "some.json").read_text() == (
        '{\n "name": "some",\n "components": [\n  "L0.head3",\n  "L0.kv1",\n  "L2.mlp"\n ],\n "parameters": 5632,\n'
        ' "provenance": {\n  "seed": 3,\n  "evidence": "probe"\n }\n}\n'
    )


def test_a_file_written_by_hand_needs_only_components(tmp_path, tiny_gemma3):
    path = tmp_path / "mine.json"
    path.write_text('{"components": ["L2.mlp", "L1.head0", "L2.mlp"]}')
    found = Localization.load(path, tiny_gemma3.architecture)
    assert (found.name, [str(c) for c in found.components]) == ("mine", ["L1.head0", "L2.mlp"])
    assert found.parameters == 2 * 8 * 32 + 3 * 32 * 48


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "no localization file"),
        ("[1, 2]", "no localization file"),
        ('{"name": "a"}', "components"),
        ('{"components": 7}', "no localization file"),
        ('{"components": [7]}', "7|no localization file"),
        ('{"components": ["L0.mlp"], "provenance": null}', "no localization file"),
        ('{"components": ["L0.mlp", "mlp 3"]}', "mlp 3"),
        ('{"components": []}', "empty"),
        ('{"components": ["L3.mlp"]}', "layers 0 to 2"),
        ('{"components": ["L1.attn", "L1.head2"]}', r"L1\.head2 twice"),
        ('{"components": ["L1.attn", "L1.kv0"]}', r"L1\.kv0 twice"),
        ('{"components": ["L1.neuron3", "L1.mlp"]}', r"L1\.neuron3 twice: L1\.mlp"),
        (b"\xff\xfe\x00binary", "no localization file"),
        (None, "No such file"),
    ],
)
def test_an_unusable_file_is_one_clear_line(tmp_path, tiny_gemma3, content, says):
    path = tmp_path / "mine.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ComponentError, match=says) as caught:
        Localization.load(path, tiny_gemma3.architecture)
    assert "\n" not in str(caught.value)


def test_a_head_may_stand_beside_the_attention_of_another_layer(tiny_gemma3):
    arch = tiny_gemma3.architecture
    found = Localization.of("mixed", [Component(0, "attn"), Component(1, "head", 0), Component(0, "mlp")], arch)
    assert found.parameters == sum(component.size(arch) for component in found.components)


def test_neurons_may_stand_beside_heads_and_beside_the_mlp_of_another_layer(tiny_gemma3):
    wanted = [Component.parse(name) for name in ("L1.neuron12", "L1.neuron3", "L0.mlp", "L1.attn", "L1.neuron3")]
    found = Localization.of("mixed", wanted, tiny_gemma3.architecture)
    assert [str(component) for component in found.components] == ["L0.mlp", "L1.attn", "L1.neuron3", "L1.neuron12"]
    assert found.parameters == 3 * 32 * 48 + (2 * 32 + 2 * 16) * 32 + 2 * 3 * 32
