"""Converting a model once: the file is read once, other models need nothing, and the reader is put back."""

import gguf
import pytest

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


def test_the_reader_is_put_back_after_an_error(monkeypatch, read):
    def fail(report):
        raise ModelError("no room")

    usual = gguf.GGUFReader
    monkeypatch.setattr(module, "embedded_model", fail)
    with pytest.raises(ModelError, match="no room"):
        module.prepare(spec("embedded"), print)
    assert gguf.GGUFReader is usual


@pytest.mark.parametrize("source", ["hub", "folder"])
def test_models_that_are_no_gguf_need_nothing(monkeypatch, read, source):
    for name in ("embedded_model", "gguf_model"):
        monkeypatch.setattr(module, name, lambda *_given: pytest.fail("nothing is to be converted"))
    module.prepare(spec(source), print)
    assert read == []
