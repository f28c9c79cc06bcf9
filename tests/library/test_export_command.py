"""``mechlib export``: a stored edit becomes a folder that loads as an ordinary model."""

import pytest
import torch
from small_book import save_facts, save_model

from mechlib.__main__ import main
from mechlib.models import load, resolve
from mechlib.runs.runner import Runner
from mechlib.runs.store import Store
from mechlib.runs.study import Study


@pytest.fixture
def edited(tmp_path, monkeypatch):
    monkeypatch.setenv("MECHLIB_RUNS", str(tmp_path / "runs"))
    study = Study(model=str(save_model(tmp_path / "tiny")), facts=str(save_facts(tmp_path / "facts.csv")), known_threshold=0.0,
                  forget_set_size=4, forget_sets=1, steps=2, localizations=("mlps_1_to_1",))  # fmt: skip
    spec = study.edit("mlps_1_to_1", 0, 0)
    Runner(study, Store(tmp_path / "runs")).compute([spec])
    return study, spec


def test_the_folder_holds_the_edited_model(edited, tmp_path, capsys):
    study, spec = edited
    target = tmp_path / "exported"
    assert main(["export", "--model", study.model, "--run", spec.id, "--to", str(target)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(target)
    before, after = (load(resolve(str(path))).parameters for path in (study.model, target))
    changed = {name for name, weight in after.items() if not torch.equal(weight, before[name])}
    assert changed == {f"model.layers.1.mlp.{name}_proj.weight" for name in ("gate", "up", "down")}


@pytest.mark.parametrize(("run", "to", "word"), [("0" * 20, "x", "RUN="), ("../edit", "x", "RUN="), ("", "x", "RUN=")])
def test_a_run_that_is_not_there_is_one_line(run, to, word, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MECHLIB_RUNS", str(tmp_path / "runs"))
    assert main(["export", "--run", run, "--to", str(tmp_path / to)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("mechlib: ") and word in said and said.count("\n") == 1
    assert not (tmp_path / to).exists()


def test_a_folder_that_is_not_named_is_one_line(edited, capsys):
    study, spec = edited
    assert main(["export", "--model", study.model, "--run", spec.id, "--to", " "]) == 2
    assert "TO=' ': give a name or a path" in capsys.readouterr().err
