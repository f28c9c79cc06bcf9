"""General text from a file or a hub: whole documents only, in order, one line when there is none."""

import json
import sys
from types import SimpleNamespace

import pytest
from tiny_models import tiny_model

from mechlib.edit.corpus import corpus, fingerprint
from mechlib.edit.delta import EditError
from mechlib.runs.study import Study

TEXTS = ["plays the sport of", "golf", "Fact: Tiger Woods plays the sport of golf", "What sport does Babe Ruth play? baseball"]


@pytest.fixture(scope="module")
def model():
    return tiny_model("llama")


@pytest.fixture(params=["txt", "jsonl"])
def source(request, tmp_path):
    path = tmp_path / f"texts.{request.param}"
    lines = TEXTS if request.param == "txt" else [json.dumps({"text": text}) for text in TEXTS]
    path.write_text(("\n\n" if request.param == "txt" else "\n").join(lines))
    return str(path)


def test_documents_that_are_long_enough_in_their_order(model, source):
    wanted = [model.tokenizer(text).input_ids[:6] for text in (TEXTS[2], TEXTS[3])]
    assert corpus(model, source, 2, 5) == wanted
    assert corpus(model, source, 1, 5, skip=1) == wanted[1:]
    assert all(len(tokens) == 5 for tokens in corpus(model, source, 3, 4))


def test_too_few_documents_and_no_documents_are_one_line(model, source, tmp_path):
    with pytest.raises(EditError, match="2 documents have 5 tokens, and 3 are needed"):
        corpus(model, source, 3, 5)
    with pytest.raises(EditError, match="no .txt or .jsonl file and no hub data set") as caught:
        corpus(model, str(tmp_path / "none.txt"), 1, 5)
    assert "\n" not in str(caught.value)


def test_a_hub_data_set_is_read_as_a_stream(model, monkeypatch):
    asked = []

    def load_dataset(name, **options):
        asked.append((name, options))
        return ({"text": text} for text in TEXTS)

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    assert len(corpus(model, "owner/pile", 2, 5)) == 2
    assert asked == [("owner/pile", {"split": "train", "streaming": True})]


def test_a_study_takes_its_text_from_the_corpus(source, monkeypatch):
    monkeypatch.setattr("mechlib.runs.specs.localizing.fingerprint", lambda spec: spec.name)
    own, given = Study(), Study(texts=source)
    assert own.text("train").settings.corpus is None
    train, damage = given.text("train").settings, given.text("damage").settings
    # Damage is measured on documents that no edit was trained on.
    assert damage.corpus.skip == train.count and train.corpus.skip == 0
    assert train.corpus.data == fingerprint(source)
    assert own.edit("all_mlps", 0, 0).id != given.edit("all_mlps", 0, 0).id
