"""Converting a model once: the file is read once, other models need nothing, and the reader is put back."""

import gguf
import numpy as np
import pytest
from gguf import gguf_reader

from mechlib.models import ModelError, ModelSpec
from mechlib.models import prepare as module


def spec(source, location="somewhere"):
    return ModelSpec("a model", source, str(location), "float32")


@pytest.fixture
def read(monkeypatch):
    files = []

    class Reader:
        def __init__(self, path):
            files.append(path)

    monkeypatch.setattr(gguf, "GGUFReader", Reader)
    return files


def test_a_file_is_read_once_however_often_it_is_asked_for(monkeypatch, tmp_path, read):
    said, usual = [], gguf.GGUFReader

    def convert(path, report):
        report("converting")
        assert gguf.GGUFReader(path) is gguf.GGUFReader(path)
        gguf.GGUFReader(path.with_name("other.gguf"))

    monkeypatch.setattr(module, "gguf_model", convert)
    module.prepare(spec("gguf", tmp_path / "one.gguf"), said.append)
    assert (read, said) == ([tmp_path / "one.gguf", tmp_path / "other.gguf"], ["converting"])
    assert gguf.GGUFReader is usual


def test_a_file_is_a_plain_array_with_the_same_contents(monkeypatch, tmp_path):
    """Cut out of a memory map, every string of a vocabulary would be a memory map."""
    path, found = tmp_path / "small.gguf", []
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_token_list(["one", "zwölf", ""])
    writer.add_tensor("weights", np.arange(64, dtype=np.float32))
    for write in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        write()
    usual = gguf.GGUFReader(path)
    monkeypatch.setattr(module, "gguf_model", lambda path, report: found.append(gguf.GGUFReader(path)))
    module.prepare(spec("gguf", path), print)
    (reader,) = found
    assert (type(reader.data), type(usual.data)) == (np.ndarray, np.memmap)
    assert {name: field.contents() for name, field in reader.fields.items()} == {
        name: field.contents() for name, field in usual.fields.items()}  # fmt: skip
    assert reader.fields["tokenizer.ggml.tokens"].contents() == ["one", "zwölf", ""]
    assert reader.tensors[0].data.tolist() == list(range(64))
    assert gguf_reader.np is np


def test_the_reader_is_put_back_after_an_error(monkeypatch, read):
    def fail(report):
        raise ModelError("no room")

    usual = gguf.GGUFReader
    monkeypatch.setattr(module, "embedded_model", fail)
    with pytest.raises(ModelError, match="no room"):
        module.prepare(spec("embedded"), print)
    assert gguf.GGUFReader is usual and gguf_reader.np is np


@pytest.mark.parametrize("source", ["hub", "folder"])
def test_models_that_are_no_gguf_need_nothing(monkeypatch, read, source):
    for name in ("embedded_model", "gguf_model"):
        monkeypatch.setattr(module, name, lambda *_given: pytest.fail("nothing is to be converted"))
    module.prepare(spec(source), print)
    assert read == []
