"""An exported model is an ordinary folder: transformers loads it and computes the same numbers."""

import json
import os

import pytest
import torch
from editing import LOCALIZATIONS, bits, edited, same
from test_delta import random_delta
from tiny_models import FAMILIES, tiny_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from mechlib.edit.delta import Delta, EditError, merge
from mechlib.edit.export import export
from mechlib.models import load, resolve

TEXT = "Fact: Tiger Woods plays the sport of"


def logits(network, ids):
    with torch.no_grad():
        return network(input_ids=torch.tensor([ids])).logits


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_folder_loads_with_equal_logits(tmp_path, family, tied):
    model = tiny_model(family, tie_word_embeddings=tied)
    delta, before = random_delta(model, LOCALIZATIONS["mixed"]), bits(model)
    folder = export(model, delta, tmp_path / "some" / "edited")
    assert same(bits(model), before)
    changed, ids = delta.edited(model), model.tokenizer(TEXT).input_ids
    expected = logits(changed.network, ids)
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    # A fused matrix has the same weights: only the order of additions may differ.
    torch.testing.assert_close(logits(network, ids), expected, atol=1e-5 if model.family.fused else 0, rtol=0)
    assert (logits(model.network, ids) - expected).abs().max() > 1e-2
    assert network.config.tie_word_embeddings == tied
    assert same(network.state_dict(), changed.network.state_dict())
    # transformers reads any tokenizer beside a Qwen 2 as that of Qwen 2.
    assert family == "qwen2" or AutoTokenizer.from_pretrained(folder)(TEXT).input_ids == ids


def test_the_library_reads_its_own_export(tmp_path):
    model = tiny_model("gemma3")
    delta = random_delta(model, ["L1.mlp"])
    again = load(resolve(str(export(model, delta, tmp_path / "edited"))))
    changed = delta.edited(model)
    assert same(bits(again), bits(changed))
    assert again.architecture == model.architecture


def test_half_precision_stays_half_precision(tmp_path):
    model = tiny_model("llama")
    model.network.bfloat16()
    delta = random_delta(model, ["L1.mlp"])
    network = AutoModelForCausalLM.from_pretrained(export(model, delta, tmp_path / "edited"))
    assert network.dtype == torch.bfloat16
    changed = delta.edited(model)
    assert same({name: weight.detach().view(torch.int16) for name, weight in network.named_parameters()}, bits(changed))


def test_the_note_says_what_was_changed_and_under_which_licence(tmp_path):
    model = tiny_model("gemma3")
    delta, _ = edited(model, ["L1.neuron3", "L2.head1"])
    note = json.loads((export(model, delta, tmp_path / "edited") / "edit.json").read_text())
    assert note["model"] == {"name": "tiny-gemma3", "source": "tiny-gemma3", "fingerprint": "tiny-gemma3-0"}
    assert note["licence"] == "that of the original model"
    assert "edited by mechlib" in note["modified"]
    assert note["change"] == {"weights": delta.size, "norm": delta.norm, "parameters": sorted({b.parameter for b in delta.blocks})}
    assert note["provenance"]["localization"]["components"] == ["L1.neuron3", "L2.head1"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["edited"]


def test_an_empty_folder_is_filled(tmp_path):
    model = tiny_model("llama")
    first, second = random_delta(model, ["L1.mlp"], 1), random_delta(model, ["L1.head1", "L1.mlp"], 2)
    (tmp_path / "edited").mkdir()
    assert (export(model, merge(first, second), tmp_path / "edited") / "config.json").is_file()


@pytest.mark.parametrize("kind", ["folder", "file", "below a file"])
def test_what_cannot_be_written_to_is_one_clear_line(tmp_path, tiny_gemma3, kind):
    target = tmp_path / "edited"
    if kind == "folder":
        target.mkdir()
        (target / "mine.txt").write_text("mine")
    else:
        target.write_text("mine")
    with pytest.raises(EditError, match="cannot be written" if kind == "below a file" else "not empty") as caught:
        export(tiny_gemma3, random_delta(tiny_gemma3, ["L1.mlp"]), target / "deeper" if kind == "below a file" else target)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["mine.txt" if kind == "folder" else "edited"]


def test_an_export_that_fails_leaves_nothing_behind(tmp_path, tiny_gemma3, monkeypatch):
    def full(*_arguments, **_options):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(tiny_gemma3.tokenizer, "save_pretrained", full, raising=False)
    before = bits(tiny_gemma3)
    with pytest.raises(EditError, match="No space left"):
        export(tiny_gemma3, random_delta(tiny_gemma3, ["L1.mlp"]), tmp_path / "edited")
    assert list(tmp_path.iterdir()) == []
    assert same(bits(tiny_gemma3), before)


def test_a_delta_of_another_model_is_refused(tmp_path, tiny_gemma3):
    delta = random_delta(tiny_model("gemma3", intermediate_size=40), ["L1.mlp"])
    with pytest.raises(EditError, match="made for another model"):
        export(tiny_gemma3, Delta(delta.blocks), tmp_path / "edited")
    assert list(tmp_path.iterdir()) == []
