"""The bytes that an edit needs are those that can be computed by hand, and about those that training keeps."""

import json
import math
from dataclasses import replace

import pytest
import torch
from editing import localization
from planning import EDIT, TINY, finish, offline
from tiny_models import tiny_model

from mechlib.components import Component, Localization, Ungated, modules
from mechlib.edit.config import EditConfig
from mechlib.edit.trainable import trainable
from mechlib.models import ModelError, resolve
from mechlib.models.forward import hidden_states
from mechlib.models.packed import pack as packed_texts
from mechlib.models.precision import computing
from mechlib.runs.memory import Memory, PromptBatch, Sizes, expected_components, lengths, memory, sizes
from mechlib.runs.study import Study

# One of its matrices in bfloat16, its gradient in bfloat16, and in float32.
CAST = (2 + 2 + 4) * 32 * 48


@pytest.fixture(autouse=True)
def bfloat16(monkeypatch):
    """The numbers below are those of an edit whose precision nobody asked for where bfloat16 is fast."""
    monkeypatch.setenv("MECHLIB_PRECISION", "bfloat16")


@pytest.fixture
def store(tmp_path, monkeypatch):
    return offline(tmp_path, monkeypatch)


def needs(store, key, accelerator=True, **parameters):
    study = Study(localizations=(key,), precision="bfloat16", **parameters)
    return memory(study, study.edit(key, 0, 0), store, accelerator)


@pytest.mark.parametrize(
    ("name", "norms", "published", "lookup", "localized"),
    [
        ("gemma-7b", 57 * 3072, 8_537_680_896, 6, 1_358_954_496),
        ("gemma-2-9b", 169 * 3584, 9_241_705_984, 5, 770_703_360),
        ("llama-3-8b", 65 * 4096, 8_030_261_248, 4, 704_643_072),
    ],
)
def test_known_models_have_their_published_sizes(name, norms, published, lookup, localized):
    known = sizes(resolve(name))
    assert known.weights + norms == published
    assert known.lookup == lookup
    assert sum(component.size(known.architecture) for component in modules(known.architecture, ["mlp"])[:lookup]) == localized


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt2"])
@pytest.mark.parametrize("tied", [True, False])
def test_sizes_of_a_folder_are_those_of_the_loaded_model(tmp_path, family, tied):
    model = tiny_model(family, tie_word_embeddings=tied)
    model.network.config.save_pretrained(tmp_path)
    found = sizes(resolve(str(tmp_path)))
    assert found == Sizes(model.architecture, len(model.tokenizer), tied, positions=512 if family == "gpt2" else 0)
    assert found.weights == sum(weight.numel() for weight in model.parameters.values() if weight.ndim == 2)


def test_a_folder_without_a_readable_configuration_is_one_line(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "none"}')
    with pytest.raises(ModelError, match="configuration cannot be read") as caught:
        sizes(resolve(str(tmp_path)))
    assert "\n" not in str(caught.value)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "opt"}))
    with pytest.raises(ModelError, match="'opt' are not supported"):
        sizes(resolve(str(tmp_path)))


@pytest.mark.real
def test_the_embedded_model_is_as_in_the_table(real):
    found = sizes(real.spec)
    assert found.architecture == real.architecture
    assert found.unembedding == real.network.get_input_embeddings().weight.numel()


def test_bytes_by_hand():
    # Attention 3072 and MLP 4608 in each of 3 layers, embedding 3200.
    assert (TINY.localizable, TINY.weights, replace(TINY, tied=False).weights) == (23_040, 26_240, 29_440)
    # A layer keeps 4 x (48 + 32) values in bfloat16 and 7 streams of 32 floats a token; 10 + 20 x 20 tokens of prompts
    # and 48 of texts in 2 layers; logits of 20 + 48 rows three times; 10 steps keep the streams of all tokens.
    kept = 2 * 458 * 1536 + 12 * 100 * 68 + 10 * 458 * 128
    # What is frozen, 23,040 + 3200 - 4608 weights, has a copy in bfloat16; what trains is cast one matrix at a time.
    assert EDIT.parts == {"weights": 104_960, "working copy": 43_264 + CAST, "masters": 18_432, "gradients": 18_432,
                          "optimizer states": 36_864, "activations": kept}  # fmt: skip
    assert EDIT.total == 234_240 + 2_074_816


@pytest.mark.parametrize(
    ("settings", "dtype", "part", "size"),
    [
        ({"optimizer": "adamw8bit"}, "float32", "optimizer states", 2 * (4608 + 18 * 4)),
        ({}, "bfloat16", "weights", 2 * 26_240),
        ({}, "bfloat16", "working copy", CAST),
        ({"precision": "float32"}, "float32", "working copy", 0),
        ({"precision": "float32"}, "bfloat16", "working copy", 4 * (26_240 - 4608)),
        ({"precision": "float32"}, "float32", "activations", 2 * 458 * 2176 + 81_600 + 586_240),
        ({"micro_batch": 3}, "float32", "activations", 2 * 70 * 1536 + 57_600 + 586_240),
        ({"checkpointing": True}, "float32", "activations", 648 * (2 * 128 + 1536) + 81_600 + 10 * 648 * 128),
        ({"checkpointing": True, "micro_batch": 1}, "float32", "activations", 30 * (2 * 128 + 1536) + 28_800 + 10 * 648 * 128),
    ],
)
def test_bytes_of_other_settings(settings, dtype, part, size):
    assert replace(EDIT, dtype=dtype, training=EditConfig(steps=10, **settings)).parts[part] == size


def test_an_accelerator_holds_no_original_of_a_matrix_that_trains_whole():
    assert replace(EDIT, aside=4608).parts == {**EDIT.parts, "weights": 104_960 - 4 * 4608}


def test_on_several_cards_each_has_a_share_of_the_layers_and_of_a_step():
    shared = replace(EDIT, aside=4608, training=replace(EDIT.training, cards=2))
    # What is no layer is whole: 3200 weights as they are stored, and a copy in bfloat16 to unembed with.
    assert shared.parts["weights"] == 6 * 3200 + (2 * 18_432) / 2
    assert replace(shared, aside=0).parts["weights"] == 6 * 3200 + (2 * 18_432 + 4 * 4608) / 2
    # Two layers of 7680 weights with what trains in them, its gradient, and what is cast.
    assert shared.parts["working copy"] == 2 * (2 * 7680 + 4 * 4608) + 4 * 4608 + CAST
    assert (shared.parts["masters"], shared.parts["gradients"], shared.parts["optimizer states"]) == (9_216, 9_216, 18_432)
    # 10 prompts and a text.
    assert shared.activations == 2 * 234 * 1536 + 12 * 100 * 34 + 10 * 234 * 128


def test_later_parts_need_a_copy_of_the_edited_matrices():
    assert replace(EDIT, parts_before=True).parts["weights"] == 104_960 + 18_432


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
@pytest.mark.parametrize("family", ["llama", "gemma", "gemma2", "gemma3"])
def test_activations_are_about_what_autograd_keeps(family, precision):
    model = tiny_model(family, intermediate_size=256)
    train = trainable(model, localization(model, ["L1.attn", "L1.mlp", "L2.attn", "L2.mlp"]), precision)
    batch = packed_texts(train.model, [[1 + n, *range(3, 26)] for n in range(4)], rows=4)
    # A cast of a weight that trains would count as an activation: there should be none.
    weights = {weight.untyped_storage().data_ptr() for weight in train.model.network.parameters()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), computing(train.model, precision):
        hidden_states(train.model, batch)
    found = Sizes(model.architecture, 0, tied=True)
    # In micro-batches, so that prompts are computed without texts, as above.
    config = EditConfig(steps=1, precision=precision, text_batch=1, micro_batch=4)
    guess = Memory("", found, "float32", config, PromptBatch(4, 0, 24), 24, 0, layers=2)
    streams = 5 * 24 * 4 * 32
    assert 0.75 < (guess.activations - streams) / sum(storage.nbytes() for storage in kept.values()) < 1.4


def test_lengths_are_guessed_from_characters():
    # The longest prompt about an athlete with one demonstration has 90 characters (25 tokens for Gemma-3), 48 of them before every
    # name (14 tokens); with four 230 (55) and 188 (44).
    assert lengths(Study(edit_format="one_shot")) == (16, 30)
    assert lengths(Study()) == (62, 77)


def test_an_expected_localization_is_replaced_by_the_one_in_the_store(store):
    study = Study(localizations=("fact_lookup", "attribution_patching"))
    known = sizes(study.model_spec)
    expected = [expected_components(study.localize(key, 0, 0), known, store) for key in study.localizations]
    # A quarter of 18 layers, and one more where the last may overshoot.
    assert [list(map(str, found)) for found in expected] == [[f"L{n}.mlp" for n in range(count)] for count in (5, 6)]
    spec = study.edit("fact_lookup", 0, 0)
    assert (memory(study, spec, store).trained, memory(study, spec, store).layers) == (5 * 3 * 640 * 2048, 18)
    chosen = [Component(7, "head", 1), Component(7, "head", 2), Component(9, "neuron", 5)]
    found = Localization.of("fact_lookup", chosen, known.architecture)
    finish(store, spec.inputs["localize"], found.to_json())
    # Whole matrices train: queries and outputs of layer 7, the MLP of layer 9.
    assert memory(study, spec, store).trained == 2 * 640 * 1024 + 3 * 640 * 2048
    assert memory(study, spec, store).layers == 11


def test_localizations_that_depend_on_no_evidence_are_exact(store, tmp_path):
    path = tmp_path / "mine.json"
    path.write_text('{"components": ["L3.mlp", "L4.kv0"]}')
    study = Study(localization=str(path), localizations=("mlps_2_to_4", "all_mlps", "nonlocalized"))
    known = sizes(study.model_spec)
    found = [expected_components(study.localize(key, 0, 0), known, store) for key in study.localizations]
    assert [len(components) for components in found] == [3, 18, 36, 2]


def test_the_paper_s_fact_lookup_is_expected_of_its_models(store):
    for name, weights in (("gemma-7b", 1_358_954_496), ("gemma-2-9b", 770_703_360), ("llama-3-8b", 704_643_072)):
        assert needs(store, "fact_lookup", model=name).trained == weights


@pytest.mark.parametrize("accelerator", [True, False])
@pytest.mark.parametrize(("optimizer", "states"), [("adamw", lambda trained: 8 * trained), ("adamw8bit", lambda n: 2 * (n + n // 64))])
@pytest.mark.parametrize(("key", "trained"), [("fact_lookup", 704_643_072), ("nonlocalized", 6_979_321_856)])
def test_bytes_of_llama(store, key, trained, optimizer, states, accelerator):
    found = needs(store, key, accelerator, model="llama-3-8b", optimizer=optimizer)
    parts = found.parts
    # 8,030,261,248 weights less the norms', and less the originals of what trains where they are aside.
    assert parts["weights"] == 2 * (8_030_261_248 - 65 * 4096 - accelerator * trained)
    assert (parts["working copy"], parts["masters"], parts["gradients"]) == (8 * 4096 * 14336, 4 * trained, 4 * trained)
    assert parts["optimizer states"] == states(trained)
    assert 1e9 < parts["activations"] < 5e9


@pytest.mark.parametrize(("key", "accelerator_size"), [("fact_lookup", 24e9), ("nonlocalized", 80e9)])
def test_llama_is_edited_on_one_accelerator(store, key, accelerator_size):
    frugal = {"model": "llama-3-8b", "optimizer": "adamw8bit", "micro_batch": 1}
    assert needs(store, key, **frugal).total < accelerator_size < needs(store, key, **{**frugal, "optimizer": "adamw"}).total


def test_only_originals_of_whole_matrices_are_aside(store):
    study = Study(localizations=("fact_lookup",), precision="bfloat16")
    spec, known = study.edit("fact_lookup", 0, 0), sizes(study.model_spec)
    chosen = [Component(7, "head", 1), Component(8, "attn"), Component(9, "neuron", 5), Component(10, "mlp")]
    finish(store, spec.inputs["localize"], Localization.of("fact_lookup", chosen, known.architecture).to_json())
    whole = sum(component.size(known.architecture) for component in (chosen[1], chosen[3]))
    assert memory(study, spec, store, accelerator=True).aside == whole
    assert memory(study, spec, store, accelerator=False).aside == 0


def test_what_is_planned_aside_is_what_training_puts_aside(tiny):
    train = trainable(tiny, localization(tiny, ["L0.head1", "L1.mlp", "L2.kv0"]), "bfloat16")
    assert {name.split(".")[2] for name in train.weights.keys() - train._outside.keys()} == {"1"}
    assert sum(math.prod(train.weights[name].shape) for name in train.weights.keys() - train._outside.keys()) == (
        # An MLP without a gate has a matrix less.
        (2 if isinstance(tiny.architecture, Ungated) else 3) * 32 * 48
    )
