"""A GGUF file is converted once by each version of the converter, faithfully or not at all."""

import json
import os

import gguf
import numpy as np
import pytest
import torch
from gguf import gguf_reader
from safetensors.torch import load_file
from tiny_gguf import TOKENS, tensors, write_gguf

from mechlib.models import ModelError, convert, fingerprint, load, resolve
from mechlib.models.convert import converted_folder
from mechlib.models.prepare import prepare
from mechlib.models.table import ModelSpec


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("MECHLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def tiny(tmp_path):
    return resolve(str(write_gguf(tmp_path / "tiny.gguf")))


def refused(spec, *words):
    with pytest.raises(ModelError) as caught:
        load(spec)
    assert [word for word in words if word not in str(caught.value)] == []
    assert "\n" not in str(caught.value)


def nothing_made(place):
    return {path.suffix for path in place.iterdir()} <= {".lock"}


def test_weights_and_words_are_those_of_the_file(tiny):
    said = []
    model = load(tiny, say=said.append)
    assert said == ["converting the model, once (about a minute)"]
    for name in ("gate", "up", "down"):
        expected = torch.from_numpy(tensors()[f"blk.0.ffn_{name}.weight"])
        assert torch.equal(model.parameters[f"model.layers.0.mlp.{name}_proj.weight"], expected)
    assert model.tokenizer.convert_ids_to_tokens(list(range(len(TOKENS)))) == TOKENS
    assert model.tokenizer("A football").input_ids[-1] == TOKENS.index("▁football")
    assert load(tiny, say=said.append).fingerprint == model.fingerprint
    assert len(said) == 1


def test_a_damaged_conversion_is_made_again_with_equal_answers(tiny, place):
    first, said = load(tiny), []
    (folder,) = (path for path in place.iterdir() if path.is_dir())
    read = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**read, "rms_norm_eps": 0.5}))
    again = load(tiny, say=said.append)
    assert again.network.config.rms_norm_eps == first.network.config.rms_norm_eps
    assert all(torch.equal(weight, again.parameters[name]) for name, weight in first.parameters.items())
    assert len(said) == 2
    assert "config.json is altered" in said[0]


@pytest.mark.parametrize("package", ["transformers", "gguf", "torch", "ours"])
def test_another_version_converts_again_and_is_the_same_model(tiny, place, monkeypatch, package):
    before, known = converted_folder("ab" * 32), fingerprint(tiny)
    if package == "ours":
        monkeypatch.setattr(convert, "CONVERTER", convert.CONVERTER + 1)
    else:
        usual = convert.version
        monkeypatch.setattr(convert, "version", lambda name: "99.0" if name == package else usual(name))
    assert converted_folder("ab" * 32) != before
    assert converted_folder("ab" * 32).parent == before.parent == place
    assert fingerprint(tiny) == known


def test_another_build_of_torch_is_no_other_version(monkeypatch):
    usual = convert.version
    folders = set()
    for build in ("2.13.0", "2.13.0+cpu", "2.13.0+cu130"):
        monkeypatch.setattr(convert, "version", lambda name, build=build: build if name == "torch" else usual(name))
        folders.add(converted_folder("ab" * 32))
    assert len(folders) == 1


def test_a_file_that_lacks_weights_is_refused(tmp_path, place):
    few = {name: weight for name, weight in tensors().items() if "ffn_up" not in name}
    refused(resolve(str(write_gguf(tmp_path / "few.gguf", few))), "few.gguf", "1 missing", "model.layers.0.mlp.up_proj.weight")
    assert nothing_made(place)


def test_a_conversion_draws_no_bar(tiny, capfd):
    load(tiny)
    assert capfd.readouterr() == ("", "")


def without_merges(folder):
    saved = json.loads((folder / "tokenizer.json").read_text())
    saved["model"]["merges"] = []
    (folder / "tokenizer.json").write_text(json.dumps(saved))


def two_ids_swapped(folder):
    saved = json.loads((folder / "tokenizer.json").read_text())
    words = saved["model"]["vocab"]
    words["▁foo"], words["tball"] = words["tball"], words["▁foo"]
    (folder / "tokenizer.json").write_text(json.dumps(saved))


@pytest.mark.parametrize(("damage", "word"), [(without_merges, "' football'"), (two_ids_swapped, "'▁foo' in the file and 'tball'")])
def test_a_tokenizer_that_reads_otherwise_is_refused(tiny, place, monkeypatch, damage, word):
    from transformers import AutoTokenizer, __version__

    usual = AutoTokenizer.from_pretrained

    def converting(location, **given):
        tokenizer = usual(location, **given)
        save = tokenizer.save_pretrained
        tokenizer.save_pretrained = lambda folder: save(folder) and damage(folder)
        return tokenizer

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", converting)
    refused(tiny, "tiny.gguf", f"transformers {__version__}", word)
    assert nothing_made(place)


@pytest.mark.parametrize("error", [OSError(28, os.strerror(28)), Exception("No space left on device (os error 28)")])
def test_a_disk_that_fills_is_one_line_and_leaves_nothing(tiny, place, monkeypatch, error):
    def full(*_given, **_options):
        raise error

    monkeypatch.setattr("transformers.LlamaForCausalLM.save_pretrained", full)
    refused(tiny, "No space left", "MECHLIB_CACHE")
    assert nothing_made(place)


def test_too_little_room_is_said_before_anything_is_read(tiny, monkeypatch):
    monkeypatch.setattr(convert.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10**5}))
    monkeypatch.setattr(convert, "_dequantize", lambda *_: pytest.fail("there is no room"))
    refused(tiny, "0.0 GB free", "MECHLIB_CACHE")


def test_a_file_is_read_once_however_often_it_is_asked_for(monkeypatch, tmp_path):
    read = []
    monkeypatch.setattr(gguf, "GGUFReader", lambda path: read.append(path) or object())
    usual = gguf.GGUFReader
    with pytest.raises(ZeroDivisionError), convert._read_once():
        assert gguf.GGUFReader("one") is gguf.GGUFReader("one")
        gguf.GGUFReader("other")
        raise ZeroDivisionError
    assert read == ["one", "other"]
    assert gguf.GGUFReader is usual
    assert gguf_reader.np is np


def test_a_file_is_a_plain_array_with_the_same_contents(tmp_path):
    """Cut out of a memory map, every string of a vocabulary would be a memory map."""
    path = write_gguf(tmp_path / "small.gguf")
    usual = gguf.GGUFReader(path)
    with convert._read_once():
        reader = gguf.GGUFReader(path)
    assert (type(reader.data), type(usual.data)) == (np.ndarray, np.memmap)
    assert {name: field.contents() for name, field in reader.fields.items()} == {
        name: field.contents() for name, field in usual.fields.items()}  # fmt: skip
    assert reader.fields["tokenizer.ggml.tokens"].contents() == TOKENS
    assert {tensor.name: tensor.data.tolist() for tensor in reader.tensors} == {name: data.tolist() for name, data in tensors().items()}


@pytest.mark.parametrize("source", ["hub", "folder"])
def test_models_that_are_no_gguf_need_nothing(place, source):
    assert prepare(ModelSpec("a model", source, "some/where"), pytest.fail) == "some/where"
    assert not place.exists()


def test_the_weights_are_kept_as_safetensors(tiny):
    kept = load_file(f"{prepare(tiny)}/model.safetensors")
    assert {str(weight.dtype) for weight in kept.values()} == {"torch.float32"}
