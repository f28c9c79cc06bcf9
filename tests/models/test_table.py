"""What a name stands for: known models by either of their names, and local ones that take nobody's results."""

import json
import math
import os
import re

import pytest

from mechlib.models import KNOWN, ModelError, ModelSpec, resolve


def local(path):
    if path.suffix == ".gguf":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"GGUF")
    else:
        path.mkdir(parents=True)
        (path / "config.json").write_text("{}")
    return resolve(str(path))


@pytest.mark.parametrize("known", [spec for spec in KNOWN.values() if spec.source == "hub"], ids=lambda spec: spec.name)
def test_a_known_model_by_its_hub_id_is_the_known_model(known):
    assert resolve(known.location) is resolve(known.location.lower()) is resolve(known.name) is known


def test_another_hub_id_keeps_its_owner():
    spec = resolve("meta-llama/Llama-3.2-1B")
    assert (spec.name, spec.source, spec.location) == ("meta-llama--Llama-3.2-1B", "hub", "meta-llama/Llama-3.2-1B")


@pytest.mark.parametrize("ending", ["", ".gguf"])
@pytest.mark.parametrize("stem", ["model", *KNOWN, "google--gemma-7b"])
def test_local_models_that_are_called_alike_have_names_of_their_own(tmp_path, stem, ending):
    names = [local(tmp_path / place / f"{stem}{ending}").name for place in ("one", "other")]
    assert len({*names, *KNOWN}) == 2 + len(KNOWN)
    assert all(re.fullmatch(f"{re.escape(stem)}-[0-9a-f]{{8}}", name) for name in names)


def test_one_place_has_one_name_however_it_is_written(tmp_path, monkeypatch):
    spec = local(tmp_path / "model")
    (tmp_path / "link").symlink_to(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("model", "./model", "model/", "link", "~/model"):
        assert resolve(name).name == spec.name
        assert resolve(name).location == os.path.realpath(tmp_path / "model")


@pytest.mark.parametrize("name", ["gemma-4", "~nobody-of-this-name", "a\0b", "n" * 5000, "a/b/c", "two\nlines", ""])
def test_what_is_no_model_is_one_line_that_names_the_known(name):
    with pytest.raises(ModelError) as caught:
        resolve(name)
    assert "\n" not in str(caught.value)
    assert all(known in str(caught.value) for known in KNOWN)


@pytest.mark.parametrize(("name", "word"), [("empty", "config.json"), ("none.gguf", "no such file"), ("empty.gguf", "no such file")])
def test_a_place_without_a_model_is_one_line_that_says_so(tmp_path, name, word):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.gguf").mkdir()
    with pytest.raises(ModelError, match=f"{name}: .*{word}"):
        resolve(str(tmp_path / name))


# As their owners publish them, without what decides nothing.
CONFIGS = {
    "llama-3-8b": {"model_type": "llama", "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "hidden_size": 4096,
                   "intermediate_size": 14336, "vocab_size": 128256, "rope_scaling": None, "torch_dtype": "bfloat16"},
    "gemma-2-9b": {"model_type": "gemma2", "num_hidden_layers": 42, "num_attention_heads": 16, "num_key_value_heads": 8,
                   "hidden_size": 3584, "head_dim": 256, "intermediate_size": 14336, "vocab_size": 256000, "torch_dtype": "bfloat16"},
    "gemma-7b": {"model_type": "gemma", "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 16, "hidden_size": 3072,
                 "head_dim": 256, "intermediate_size": 24576, "vocab_size": 256000, "torch_dtype": "bfloat16"},
}  # fmt: skip


def folder_with(path, config):
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return resolve(str(path))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_known_model_is_edited_alike_by_name_by_hub_id_by_revision_and_by_folder(tmp_path, name):
    known = KNOWN[name]
    others = [resolve(each) for each in (known.location, f"{known.location}@main", f"{name}@0123abc")]
    others = [*others, folder_with(tmp_path / "any", CONFIGS[name])]
    for spec in others:
        assert (spec.editing, spec.dtype, spec.licence) == (known.editing, "bfloat16", known.licence)
    assert len({spec.name for spec in [known, *others]}) == 4


@pytest.mark.parametrize("change", [
    {"num_hidden_layers": 31}, {"vocab_size": 128_300}, {"model_type": "qwen2"}, {"head_dim": 64}, {"intermediate_size": 8192},
    {"num_key_value_heads": None}, {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}},
    {"rope_parameters": {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0}},
])  # fmt: skip
def test_a_folder_of_any_other_model_is_none_of_the_known(tmp_path, change):
    """Llama 3.1 8B has all sizes of Llama 3 8B."""
    assert folder_with(tmp_path / "llama-3-8b", CONFIGS["llama-3-8b"] | change).editing == {}


@pytest.mark.parametrize(("config", "dtype"), [
    ({"dtype": "bfloat16"}, "bfloat16"), ({"torch_dtype": "bfloat16"}, "bfloat16"), ({"text_config": {"dtype": "bfloat16"}}, "bfloat16"),
    ({"dtype": "float32"}, "float32"), ({"torch_dtype": "float16"}, "float32"), ({}, "float32"), ("{", "float32"), ("[]", "float32"),
    ({"text_config": 3}, "float32"), ("[" * 100_000, "float32"),
])  # fmt: skip
def test_a_folder_is_in_the_format_that_it_says(tmp_path, config, dtype):
    assert folder_with(tmp_path / "model", config).dtype == dtype


def test_revisions_have_results_of_their_own():
    names = ["a/b", "a/b@main", "a/b@refs/pr/1", "a/b@v1", "llama-3-8b", "llama-3-8b@main", "meta-llama/Meta-Llama-3-8B@v1"]
    specs = [resolve(name) for name in names]
    assert len({spec.name for spec in specs}) == len(names)
    assert all(re.fullmatch(r"[\w.-]+", spec.name) for spec in specs)
    assert [spec.revision for spec in specs] == [None, "main", "refs/pr/1", "v1", None, "main", "v1"]
    # The same revision, by either name.
    assert resolve("meta-llama/meta-llama-3-8b@v1") == resolve("llama-3-8b@v1")


@pytest.mark.parametrize("name", ["gemma-3-270m@main", "a/b@", "llama-3-8b@", "a/b@two words", "a/b@x\ny", "a/b@" + "x" * 240])
def test_a_revision_that_cannot_be_is_one_line(name):
    with pytest.raises(ModelError, match="branch, tag or commit") as caught:
        resolve(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "meant"), [
    ("llama3-8b", "llama-3-8b"), ("Gemma-7B", "gemma-7b"), ("gemma-2-9", "gemma-2-9b"),
    ("meta-llama/Meta-Llama-3-8B/", "meta-llama/Meta-Llama-3-8B"),
])  # fmt: skip
def test_a_slip_of_the_pen_is_answered_with_the_name_that_was_meant(name, meant):
    with pytest.raises(ModelError, match=f"did you mean {re.escape(meant)}\\?"):
        resolve(name)


@pytest.mark.parametrize("name", ["a/b--c", "a/.b", "a b/c", "a/b.git", "-a/b"])
def test_what_the_hub_allows_nobody_is_no_hub_id(name):
    """Two dashes join owner and name in a folder of results: no name may have them."""
    with pytest.raises(ModelError, match="unknown MODEL"):
        resolve(name)


def test_an_adapter_is_told_from_a_model(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="merge"):
        resolve(str(tmp_path))


def test_rates_of_models_that_the_paper_did_not_edit_are_in_its_ratios():
    """Geometric means over three models and four settings: few components as fast as a few MLPs, everything at .29 of that."""
    settings = ("athletes", "full sports", "counterfact 16", "counterfact 64")
    for group, ratio in (("mixed", 1.0), ("everything", 0.29)):
        pairs = [spec.editing[setting] for spec in KNOWN.values() if spec.editing for setting in settings]
        assert len(pairs) == 12
        mean = math.prod(pair[group].learning_rate / pair["mlps"].learning_rate for pair in pairs) ** (1 / 12)
        own, few = (ModelSpec("m", "folder", "").hyperparameters(one).learning_rate for one in (group, "mlps"))
        assert own / few == pytest.approx(ratio) and mean == pytest.approx(ratio, abs=0.005)
