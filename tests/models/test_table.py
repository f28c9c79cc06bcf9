"""What a name stands for: known models by either of their names, and local ones that take nobody's results."""

import os
import re

import pytest

from mechlib.models import KNOWN, ModelError, resolve


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
